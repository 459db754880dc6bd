//! Where sliding windows lie, as TFLite's `padding.h` has it.

use apu_proto::program;

use crate::{
    constraints::{LIMITS, Refusal, Site},
    graph::{Padding, Sliding, Tensor},
};

/// Windows along one side of an image.
pub(crate) struct Side {
    /// How many there are.
    pub output: u32,
    /// Padding before the first pixel.
    pub before: u32,
}

impl Side {
    /// `axis` 0 is the height, 1 the width. `None` when not one window fits.
    pub fn new(sliding: &Sliding, axis: usize, input: u32, filter: u32) -> Option<Self> {
        let (input, filter) = (i64::from(input), i64::from(filter));
        let stride = i64::from(sliding.stride[axis]);
        let reach = (filter - 1) * i64::from(sliding.dilation[axis]) + 1;
        let span = match sliding.padding {
            Padding::Same => input + stride - 1,
            Padding::Valid => input + stride - reach,
        };
        // C's division truncates, and so does this: a span below 0 gives no window either way.
        let output = span.checked_div(stride).filter(|&output| output > 0)?;
        let padding = ((output - 1) * stride + reach - input).max(0);
        Some(Self {
            output: u32::try_from(output).ok()?,
            before: u32::try_from(padding / 2).ok()?,
        })
    }
}

/// The geometry record of an operator with a window; `input` and `output` are NHWC.
pub(crate) fn record(
    site: &Site,
    input: &Tensor,
    output: &Tensor,
) -> Result<program::Window, Refusal> {
    let refuse = || {
        LIMITS.refuse(format!(
            "window over {:?} to {:?}",
            input.shape, output.shape
        ))
    };
    let (&[batch, in_h, in_w, in_c], &[_, out_h, out_w, out_c]) =
        (input.shape.as_slice(), output.shape.as_slice())
    else {
        return Err(refuse());
    };
    let (sliding, [kernel_h, kernel_w]) = site.window().ok_or_else(refuse)?;
    let side = |axis, input, filter| Side::new(&sliding, axis, input, filter).ok_or_else(refuse);
    Ok(program::Window {
        batch,
        in_h,
        in_w,
        in_c,
        out_h,
        out_w,
        out_c,
        kernel_h,
        kernel_w,
        stride_h: sliding.stride[0].unsigned_abs(),
        stride_w: sliding.stride[1].unsigned_abs(),
        dilation_h: sliding.dilation[0].unsigned_abs(),
        dilation_w: sliding.dilation[1].unsigned_abs(),
        pad_top: side(0, in_h, kernel_h)?.before,
        pad_left: side(1, in_w, kernel_w)?.before,
    })
}
