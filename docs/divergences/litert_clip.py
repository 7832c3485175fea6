"""LiteRT bounds the cell state to 10 in the fused LSTM that the converter makes of a Keras layer."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter

x = np.zeros((1, 20, 1), np.float32)
x[0, -2:] = 1  # open gates let the cell grow to 18 tanh(1); now i closes, and f lets 0.12 of it through
layer = tf_keras.layers.LSTM(1, return_sequences=True)
model = tf_keras.Sequential([tf_keras.Input(batch_shape=x.shape), layer])
layer.set_weights([np.float32([[-40, -22, 0, 0]]), np.zeros((1, 4), np.float32), np.float32([20, 20, 1, 20])])
run = Interpreter(model_content=tf.lite.TFLiteConverter.from_keras_model(model).convert())
run.allocate_tensors()
run.set_tensor(run.get_input_details()[0]["index"], x)
run.invoke()
found, right = run.get_tensor(run.get_output_details()[0]["index"])[0, 18, 0], model(x).numpy()[0, 18, 0]
print("found:", found.round(4), " right:", right.round(4))
assert abs(found - right) > 0.01, "the divergence is gone"
