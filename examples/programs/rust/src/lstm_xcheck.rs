//! Lets lstm-xcheck judge an LSTM in Rust: one file, std only.
//!
//! Write `fn lstm(case: &Case) -> Result<Answer, String>`, and in main: `lstm_xcheck::serve("torch", lstm)`. An error is
//! the reason why there is no such LSTM. Print to stderr only: stdout carries the answers.
#![allow(dead_code)]
use std::io::{self, Read, Write};

pub const PEEPHOLES: u32 = 64;
pub const GRADIENTS: u32 = 128;
pub const COUPLED: u32 = 256 | 512;

/// A question. Arrays are row-major; absent ones are empty, and absent states are zeros.
pub struct Case {
    pub flags: u32,
    pub layers: usize,
    pub directions: usize,
    pub reverse: bool,
    pub bias: bool,
    pub second_bias: bool,
    pub batch: usize,
    pub steps: usize,
    pub input: usize,
    pub hidden: usize,
    pub projection: usize,
    /// Bounds on gates, cell and projection, 0 for none.
    pub clips: [f64; 3],
    /// Sigmoid 0, tanh 1; docs/explanation/protocol.md has the others.
    pub activations: [u8; 3],
    /// The weights in the layout, one array after another.
    pub weights: Vec<f32>,
    /// (batch, steps, input).
    pub x: Vec<f32>,
    /// (layers * directions, batch, hidden).
    pub h0: Vec<f32>,
    pub c0: Vec<f32>,
    /// Valid steps of each row.
    pub lengths: Vec<usize>,
}

/// Outputs; `lower` has those of the layers below the top one, or is empty.
#[derive(Default)]
pub struct Answer {
    pub y: Vec<f32>,
    pub h_n: Vec<f32>,
    pub c_n: Vec<f32>,
    pub lower: Vec<f32>,
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn floats(rest: &mut &[u8], count: usize) -> Result<Vec<f32>, String> {
    if rest.len() < 4 * count {
        return Err("the sizes of the request do not fit".into());
    }
    let (now, later) = rest.split_at(4 * count);
    *rest = later;
    Ok(now.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect())
}

fn parse(body: &[u8]) -> Result<Case, String> {
    let flags = u32_at(body, 0);
    let size = |at: usize| u64_at(body, at) as usize;
    let number = |at: usize| f64::from_bits(u64_at(body, at));
    let (layers, directions) = (u32_at(body, 4) as usize, 1 + (flags & 1) as usize);
    let (batch, steps, input, hidden, projection) = (size(8), size(16), size(24), size(32), size(40));
    let mut rest = &body[104..];
    let mut lengths = vec![steps; batch];
    if flags & 8 != 0 {
        for length in &mut lengths {
            *length = u64_at(rest, 0) as usize;
            rest = &rest[8..];
        }
    }
    let width = if projection > 0 { projection } else { hidden };
    let rows = if flags & 4 != 0 { layers * directions * batch } else { 0 };
    let weights = floats(&mut rest, size(48))?;
    let x = floats(&mut rest, batch * steps * input)?;
    let h0 = floats(&mut rest, rows * width)?;
    let c0 = floats(&mut rest, rows * hidden)?;
    Ok(Case {
        flags, layers, directions, reverse: flags & 2 != 0, bias: flags & 16 != 0, second_bias: flags & 32 != 0,
        batch, steps, input, hidden, projection, clips: [number(56), number(64), number(72)],
        activations: [body[80], body[81], body[82]], weights, x, h0, c0, lengths,
    })
}

fn encode(answer: &Answer) -> Vec<u8> {
    let mut bytes = (!answer.lower.is_empty() as u64).to_le_bytes().to_vec();
    for part in [&answer.y, &answer.h_n, &answer.c_n, &answer.lower] {
        bytes.extend(part.iter().flat_map(|value| value.to_le_bytes()));
    }
    bytes
}

/// Answer requests until there are no more; `layout` is a row of `lstm-xcheck layouts`.
pub fn serve(layout: &str, lstm: impl Fn(&Case) -> Result<Answer, String>) -> io::Result<()> {
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    let mut head = [0u8; 32];
    loop {
        match stdin.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        if &head[..6] != b"LXRQ\x01\x00" {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no request of version 1"));
        }
        let mut body = vec![0u8; u64_at(&head, 16) as usize];
        stdin.read_exact(&mut body)?;
        let answer = match (head[6], head[7]) {
            (0, _) => Ok(format!("layout {layout}").into_bytes()),
            (_, 4) => parse(&body).and_then(|case| lstm(&case)).map(|answer| encode(&answer)),
            _ => Err("precision: computes in float32".into()),
        };
        let (status, bytes) = match answer {
            Ok(bytes) => (0, bytes),
            Err(reason) => (1, reason.into_bytes()),
        };
        let mut out = b"LXAN\x01\x00".to_vec();
        out.extend([status, head[7]]);
        out.extend(&head[8..16]);
        out.extend((bytes.len() as u64).to_le_bytes());
        if head[7] == 4 {
            out.extend(1f32.to_le_bytes());
            out.extend([0u8; 4]);
        } else {
            out.extend(1f64.to_le_bytes());
        }
        out.extend(bytes);
        stdout.write_all(&out)?;
        stdout.flush()?;
    }
}
