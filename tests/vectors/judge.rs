// Reads answers from standard input and prints for each how many of its numbers are wrong. With an argument it runs a
// kernel of one layer and direction on every case instead, whose sums are in that type.
mod lstm_xcheck_vectors;
use lstm_xcheck_vectors::{wrong, Case, CASES};
use std::io::Read;

fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-v).exp())
}

fn run(q: &Case, in_f64: bool) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (cell, n, width) = (&q.cells[0], q.hidden, q.input);
    let mut y = vec![0.0; q.batch * q.steps * n];
    let (mut h_n, mut c_n) = (q.h0.to_vec(), q.c0.to_vec());
    h_n.resize(q.batch * n, 0.0);
    c_n.resize(q.batch * n, 0.0);
    for row in 0..q.batch {
        for t in 0..*q.lengths.get(row).unwrap_or(&q.steps) {
            let x = &q.x[(row * q.steps + t) * width..][..width];
            let h = h_n[row * n..][..n].to_vec();
            let z: Vec<f32> = (0..4 * n)
                .map(|k| {
                    let products = cell.w[k * width..].iter().zip(x).chain(cell.u[k * n..].iter().zip(&h));
                    let biases = [cell.b, cell.b_r].map(|b| *b.get(k).unwrap_or(&0.0));
                    if in_f64 {
                        let sum: f64 = products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        (sum + f64::from(biases[0]) + f64::from(biases[1])) as f32
                    } else {
                        products.map(|(a, b)| a * b).sum::<f32>() + biases[0] + biases[1]
                    }
                })
                .collect();
            for k in 0..n {
                let c = sigmoid(z[n + k]) * c_n[row * n + k] + sigmoid(z[k]) * z[2 * n + k].tanh();
                let h = sigmoid(z[3 * n + k]) * c.tanh();
                c_n[row * n + k] = c;
                h_n[row * n + k] = h;
                y[(row * q.steps + t) * n + k] = h;
            }
        }
    }
    (y, h_n, c_n)
}

fn main() {
    if let Some(kind) = std::env::args().nth(1) {
        for case in CASES {
            let (y, h_n, c_n) = run(case, kind == "f64");
            println!("{}", wrong(case, &y, &h_n, &c_n));
            assert!(wrong(case, &y[1..], &h_n, &c_n) > 0, "a missing number is wrong");
        }
        return;
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).expect("answers");
    let mut at = 0;
    while at < bytes.len() {
        let case = &CASES[u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize];
        at += 4;
        let [y, h_n, c_n] = [&case.y, &case.h_n, &case.c_n].map(|right| {
            let end = at + 4 * right.value.len();
            let part: Vec<f32> = bytes[at..end].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
            at = end;
            part
        });
        println!("{}", wrong(case, &y, &h_n, &c_n));
    }
}
