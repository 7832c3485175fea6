//! An LSTM in Rust, and how lstm-xcheck runs it. The argument `wrong` plants a mistake.
mod lstm_xcheck;
use lstm_xcheck::{serve, Answer, Case, COUPLED, GRADIENTS, PEEPHOLES};

fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-v).exp())
}

fn lstm(case: &Case, wrong: bool) -> Result<Answer, String> {
    if case.flags & (PEEPHOLES | GRADIENTS | COUPLED) != 0 || case.projection > 0 {
        return Err("peepholes, gradients, coupled gates and projections are not implemented".into());
    }
    if case.clips != [0.0; 3] || case.activations != [0, 1, 1] {
        return Err("clips and other activations are not implemented".into());
    }
    let (hidden, directions) = (case.hidden, case.directions);
    let (mut x, mut input, mut weights) = (case.x.clone(), case.input, &case.weights[..]);
    let mut answer = Answer::default();
    for layer in 0..case.layers {
        let mut y = vec![0f32; case.batch * case.steps * directions * hidden];
        for direction in 0..directions {
            let (w, rest) = weights.split_at(4 * hidden * input);
            let (u, rest) = rest.split_at(4 * hidden * hidden);
            let (b, rest) = rest.split_at(if case.bias { 4 * hidden } else { 0 });
            let (r, rest) = rest.split_at(if case.second_bias { 4 * hidden } else { 0 });
            weights = rest;
            for n in 0..case.batch {
                let at = ((layer * directions + direction) * case.batch + n) * hidden;
                let start = |states: &[f32]| if states.is_empty() { vec![0f32; hidden] } else { states[at..at + hidden].to_vec() };
                let (mut h, mut c) = (start(&case.h0), start(&case.c0));
                for s in 0..case.lengths[n] {
                    let t = if direction == 1 || case.reverse { case.lengths[n] - 1 - s } else { s };
                    let row = &x[(n * case.steps + t) * input..][..input];
                    let z: Vec<f32> = (0..4 * hidden)
                        .map(|k| {
                            let mut sum = b.get(k).unwrap_or(&0.0) + r.get(k).unwrap_or(&0.0);
                            for j in 0..input {
                                sum += w[k * input + j] * row[j];
                            }
                            for j in 0..hidden {
                                // planted: each block of U is read as its transpose
                                sum += h[j] * if wrong { u[(k / hidden * hidden + j) * hidden + k % hidden] } else { u[k * hidden + j] };
                            }
                            sum
                        })
                        .collect();
                    for k in 0..hidden {
                        c[k] = sigmoid(z[hidden + k]) * c[k] + sigmoid(z[k]) * z[2 * hidden + k].tanh();
                        h[k] = sigmoid(z[3 * hidden + k]) * c[k].tanh();
                        y[((n * case.steps + t) * directions + direction) * hidden + k] = h[k];
                    }
                }
                answer.h_n.extend(h);
                answer.c_n.extend(c);
            }
        }
        if layer + 1 < case.layers {
            answer.lower.extend(&y);
        }
        x = y;
        input = directions * hidden;
    }
    answer.y = x;
    Ok(answer)
}

fn main() -> std::io::Result<()> {
    let wrong = std::env::args().any(|argument| argument == "wrong");
    serve("torch", |case| lstm(case, wrong))
}
