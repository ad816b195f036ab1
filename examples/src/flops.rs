//! Multiplying square matrices in double precision, in blocks that fit a core's cache.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Edge of a block: three blocks of doubles are 96 KiB.
const BLOCK: usize = 64;

/// One task: so many multiplications of matrices of this size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Rows and columns of each matrix.
    pub size: usize,
    /// How many products, one after the other.
    pub repeats: usize,
    /// Seed of the first matrix.
    pub seed: u64,
}

impl Load {
    /// Additions and multiplications of the whole task.
    pub fn operations(self) -> f64 {
        2.0 * (self.size as f64).powi(3) * self.repeats as f64
    }
}

/// What a task measured on its worker.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Additions and multiplications done.
    pub operations: f64,
    /// Seconds they took.
    pub seconds: f64,
    /// The sum of the last product's elements: keeps the compiler from leaving the work out, and shows that every
    /// worker computed the same.
    pub checksum: f64,
}

impl Measured {
    /// Billions of operations per second.
    pub fn gflops(self) -> f64 {
        gflops(self.operations, self.seconds)
    }
}

/// Billions of operations per second.
pub fn gflops(operations: f64, seconds: f64) -> f64 {
    operations / seconds / 1e9
}

/// A square matrix with elements in `-1.0..1.0`, row by row.
pub fn random_matrix(size: usize, seed: u64) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..size * size).map(|_| random.f64() * 2.0 - 1.0).collect()
}

/// `c += a * b` for square matrices of this size, row by row. Slices of another length than `size * size` are
/// multiplied as far as they go.
pub fn multiply_add(size: usize, a: &[f64], b: &[f64], c: &mut [f64]) {
    for k0 in (0..size).step_by(BLOCK) {
        let k1 = (k0 + BLOCK).min(size);
        for j0 in (0..size).step_by(BLOCK) {
            let j1 = (j0 + BLOCK).min(size);
            // The innermost loop runs along rows of `b` and `c`, which the compiler turns into vector code.
            for (a_row, c_row) in a.chunks_exact(size).zip(c.chunks_exact_mut(size)) {
                for (&factor, b_row) in a_row[k0..k1].iter().zip(b.chunks_exact(size).skip(k0)) {
                    for (sum, &value) in c_row[j0..j1].iter_mut().zip(&b_row[j0..j1]) {
                        *sum += factor * value;
                    }
                }
            }
        }
    }
}

/// Runs a task and takes its time.
pub fn run(load: Load) -> Measured {
    let a = random_matrix(load.size, load.seed);
    let b = random_matrix(load.size, load.seed.wrapping_add(1));
    let mut c = vec![0.0; load.size * load.size];
    let started = Instant::now();
    for _ in 0..load.repeats {
        c.fill(0.0);
        multiply_add(load.size, &a, &b, &mut c);
        std::hint::black_box(&mut c);
    }
    let seconds = started.elapsed().as_secs_f64();
    Measured { operations: load.operations(), seconds, checksum: c.iter().sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(size: usize, a: &[f64], b: &[f64]) -> Vec<f64> {
        let mut c = vec![0.0; size * size];
        for i in 0..size {
            for j in 0..size {
                c[i * size + j] = (0..size).map(|k| a[i * size + k] * b[k * size + j]).sum();
            }
        }
        c
    }

    #[test]
    fn blocks_give_the_product_whatever_the_size() {
        for size in [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 7] {
            let (a, b) = (random_matrix(size, 1), random_matrix(size, 2));
            let mut c = vec![0.0; size * size];
            multiply_add(size, &a, &b, &mut c);
            for (got, expected) in c.iter().zip(naive(size, &a, &b)) {
                assert!((got - expected).abs() < 1e-9, "size {size}: {got} {expected}");
            }
        }
    }

    #[test]
    fn a_run_counts_its_operations() {
        let load = Load { size: 10, repeats: 3, seed: 1 };
        let measured = run(load);
        assert!((measured.operations - 6_000.0).abs() < 1e-9);
        assert!((measured.checksum - run(load).checksum).abs() < 1e-12);
        assert!((gflops(4e9, 2.0) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn an_empty_matrix_is_no_work() {
        assert!(run(Load { size: 0, repeats: 1, seed: 1 }).operations < 1.0);
    }
}
