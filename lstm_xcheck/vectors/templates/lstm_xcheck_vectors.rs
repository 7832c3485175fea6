/*
@HEADING@
*/

/// One layer in one direction; arrays that it does not have are empty.
#[allow(dead_code)]
pub struct Cell {
    pub w: &'static [f32],
    pub u: &'static [f32],
    pub b: &'static [f32],
    pub b_r: &'static [f32],
    pub peephole: &'static [f32],
    pub projection: &'static [f32],
}

/// Expected values, and by how much each may be off.
pub struct Output {
    pub value: &'static [f32],
    pub allowed: &'static [f32],
}

/// States are empty for zeros, lengths where all steps are valid.
#[allow(dead_code)]
pub struct Case {
    pub name: &'static str,
    pub layers: usize,
    pub directions: usize,
    pub reverse: bool,
    pub batch: usize,
    pub steps: usize,
    pub input: usize,
    pub hidden: usize,
    pub output: usize,
    pub cells: &'static [Cell],
    pub x: &'static [f32],
    pub h0: &'static [f32],
    pub c0: &'static [f32],
    pub lengths: &'static [usize],
    pub y: Output,
    pub h_n: Output,
    pub c_n: Output,
}

fn wrong_in(right: &Output, got: &[f32]) -> usize {
    if got.len() != right.value.len() {
        return right.value.len().max(1);
    }
    let pairs = got.iter().zip(right.value).zip(right.allowed);
    pairs.filter(|((got, value), allowed)| !((**got - **value).abs() <= **allowed)).count()
}

/// How many numbers are wrong; NaN is, and every number of an array of another length.
pub fn wrong(case: &Case, y: &[f32], h_n: &[f32], c_n: &[f32]) -> usize {
    wrong_in(&case.y, y) + wrong_in(&case.h_n, h_n) + wrong_in(&case.c_n, c_n)
}

#[rustfmt::skip]
pub static CASES: &[Case] = &[
@CASES@];
