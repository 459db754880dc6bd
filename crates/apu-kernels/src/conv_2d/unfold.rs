//! Panels: the input as a matrix with one row an output pixel, the taps of its window side by side.

use super::Conv2d;
use crate::window::{Pixel, Window};
use apu_proto::program::CONV_TILE;

/// Calls `multiply` with panel after panel of at most [`CONV_TILE`] rows and the part of the output
/// that belongs to it. A row of the panel holds stored bytes in groups of four, each kernel row padded
/// with those that count as `a = 0`.
#[inline(always)]
pub(super) fn each_panel(
    conv: &Conv2d,
    input: &[u8],
    output: &mut [u8],
    scratch: &mut [u8],
    mut multiply: impl FnMut(&[[u8; 4]], &mut [u8]),
) {
    if !conv.unfolds {
        let outputs = output.chunks_mut(CONV_TILE * conv.window.out_c);
        let panels = input.chunks(CONV_TILE * conv.window.in_c);
        panels
            .zip(outputs)
            .for_each(|(panel, output)| multiply(panel.as_chunks().0, output));
        return;
    }
    let mut pixels = conv.window.pixels();
    for output in output.chunks_mut(conv.tile * conv.window.out_c) {
        let rows = output.len() / conv.window.out_c;
        let panel = &mut scratch[..rows * conv.depth];
        unfold(conv, pixels.by_ref().take(rows), input, panel);
        multiply(panel.as_chunks().0, output);
    }
}

/// Fills a panel with the windows of `pixels`.
fn unfold(conv: &Conv2d, pixels: impl Iterator<Item = Pixel>, input: &[u8], panel: &mut [u8]) {
    for (index, pixel) in pixels.enumerate() {
        unfold_pixel(conv, pixel, input, &mut panel[index * conv.depth..]);
    }
}

/// Writes the window of `pixel` to the beginning of `target`. It may write more, but no more than
/// there is: windows are to be unfolded front to back.
pub(super) fn unfold_pixel(conv: &Conv2d, pixel: Pixel, input: &[u8], target: &mut [u8]) {
    let (window, zero) = (&conv.window, conv.input_zero_point as u8);
    let taps = window.kernel_w * window.in_c;
    for kernel_y in 0..window.kernel_h {
        let row = &mut target[kernel_y * conv.pitch..];
        match window.row(pixel, kernel_y) {
            None => row[..taps].fill(zero),
            Some(y) if window.dilation_w == 1 => unfold_dense(window, pixel, y, zero, input, row),
            Some(_) => unfold_taps(window, pixel, kernel_y, zero, input, row),
        }
        row[taps..conv.pitch].fill(conv.byte.flip());
    }
}

/// Unfolds one row of a window that is contiguous in the input.
fn unfold_dense(window: &Window, pixel: Pixel, y: usize, zero: u8, input: &[u8], row: &mut [u8]) {
    let (columns, x) = window.columns(pixel);
    let [left, right, end] =
        [columns.start, columns.end, window.kernel_w].map(|taps| taps * window.in_c);
    row[..left].fill(zero);
    copy(
        &mut row[left..],
        &input[window.at(pixel.batch, y, x)..],
        right - left,
    );
    row[right..end].fill(zero);
}

/// Unfolds one row of any window, tap by tap.
fn unfold_taps(
    window: &Window,
    pixel: Pixel,
    kernel_y: usize,
    zero: u8,
    input: &[u8],
    row: &mut [u8],
) {
    let taps = row.chunks_exact_mut(window.in_c);
    for (kernel_x, tap) in (0..window.kernel_w).zip(taps) {
        match window.tap(pixel, kernel_y, kernel_x) {
            Some(at) => copy(tap, &input[at..], window.in_c),
            None => tap.fill(zero),
        }
    }
}

/// Copies `count` bytes, and perhaps more of what follows: rows are written front to back, so what
/// is too much is overwritten. For a few bytes that is several times faster than an exact copy.
#[inline]
fn copy(target: &mut [u8], source: &[u8], count: usize) {
    match (target.first_chunk_mut::<16>(), source.first_chunk::<16>()) {
        (Some(target), Some(source)) if count <= 16 => *target = *source,
        _ => target[..count].copy_from_slice(&source[..count]),
    }
}

/// `zero point of the weights · Σ a` of each row of a panel; nothing to do for symmetric weights.
#[inline(always)]
pub(super) fn row_sums(conv: &Conv2d, panel: &[[u8; 4]], corrections: &mut [i32; CONV_TILE]) {
    if conv.weight_zero_point == 0 {
        return;
    }
    let flip = conv.byte.flip();
    for (correction, row) in corrections
        .iter_mut()
        .zip(panel.as_flattened().chunks_exact(conv.depth))
    {
        let sum = row
            .iter()
            .fold(0u32, |sum, &x| sum.wrapping_add((x ^ flip).into()));
        *correction = conv.weight_zero_point.wrapping_mul(sum as i32);
    }
}
