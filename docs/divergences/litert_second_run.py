"""LiteRT starts a second run of a fused LSTM from the states in which the first one ended."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter

layer = tf_keras.layers.LSTM(1, return_sequences=True)
model = tf_keras.Sequential([tf_keras.Input(batch_shape=(1, 3, 1)), layer])
layer.set_weights([np.ones((1, 4), np.float32), np.ones((1, 4), np.float32), np.zeros(4, np.float32)])
run = Interpreter(model_content=tf.lite.TFLiteConverter.from_keras_model(model).convert())
run.allocate_tensors()
first = []
for _ in range(2):
    run.set_tensor(run.get_input_details()[0]["index"], np.ones((1, 3, 1), np.float32))
    run.invoke()
    first.append(run.get_tensor(run.get_output_details()[0]["index"])[0, 0, 0])
print("found:", first[1].round(4), " right:", first[0].round(4))
assert abs(first[1] - first[0]) > 0.1, "the divergence is gone"
