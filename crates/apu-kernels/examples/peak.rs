//! Prints how many int8 multiply-accumulates a second one core of this machine does at best, and with
//! which instructions: nothing but those that the convolutions use, on registers alone.

#![cfg_attr(
    not(target_arch = "x86_64"),
    allow(
        dead_code,
        unused_imports,
        reason = "nothing is known of other processors"
    )
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Rounds of a measurement, short enough to be undisturbed once in a while.
const ROUNDS: u64 = 20_000;
/// How long to measure.
const PATIENCE: Duration = Duration::from_millis(300);

fn main() {
    let isa = apu_kernels::Isa::detect().name();
    match peak(isa) {
        Some(peak) => println!("{{\"isa\":\"{isa}\",\"macs_per_second\":{peak:.4e}}}"),
        None => eprintln!("peak: nothing is known of {isa}"),
    }
}

/// Multiply-accumulates a second in the best round.
fn best(macs: u64, round: impl Fn(u64)) -> f64 {
    let begin = Instant::now();
    let mut best = 0f64;
    while begin.elapsed() < PATIENCE {
        let start = Instant::now();
        round(ROUNDS);
        best = best.max((macs * ROUNDS) as f64 / start.elapsed().as_secs_f64());
    }
    best
}

#[cfg(not(target_arch = "x86_64"))]
fn peak(_isa: &str) -> Option<f64> {
    None
}

#[cfg(target_arch = "x86_64")]
fn peak(isa: &str) -> Option<f64> {
    // SAFETY: `Isa::detect()` names only what the processor has.
    unsafe {
        match isa {
            "avx512-vnni" | "avx512-vbmi" => {
                Some(best(x86::SUMS * 64, |rounds| x86::avx512_vnni(rounds)))
            }
            "avx2-vnni" => Some(best(x86::SUMS * 32, |rounds| x86::avx2_vnni(rounds))),
            "avx2" => Some(best(x86::SUMS * 16, |rounds| x86::avx2(rounds))),
            _ => None,
        }
    }
}

/// Sums that don't wait for each other.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::black_box;
    use core::arch::x86_64::*;

    pub const SUMS: u64 = 12;

    #[target_feature(enable = "avx512bw,avx512vnni")]
    pub fn avx512_vnni(rounds: u64) {
        let (a, w) = black_box((_mm512_set1_epi8(3), _mm512_set1_epi8(5)));
        let mut sums = [_mm512_setzero_si512(); SUMS as usize];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, a, w);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2,avxvnni")]
    pub fn avx2_vnni(rounds: u64) {
        let (a, w) = black_box((_mm256_set1_epi8(3), _mm256_set1_epi8(5)));
        let mut sums = [_mm256_setzero_si256(); SUMS as usize];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_dpbusd_avx_epi32(*sum, a, w);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2")]
    pub fn avx2(rounds: u64) {
        let (a, w) = black_box((_mm256_set1_epi16(3), _mm256_set1_epi16(5)));
        let mut sums = [_mm256_setzero_si256(); SUMS as usize];
        for _ in 0..rounds {
            for sum in &mut sums {
                let products = _mm256_madd_epi16(black_box(a), w);
                *sum = _mm256_add_epi32(*sum, products);
            }
        }
        black_box(sums);
    }
}
