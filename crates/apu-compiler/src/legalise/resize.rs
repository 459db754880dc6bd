//! RESIZE_BILINEAR.

use apu_kernels::resize_bilinear;
use apu_proto::program::{ResizeBilinear, Rounding, opcode};

use super::{Operand, Record, dtype, record, rounding};
use crate::{
    constraints::{LIMITS, Refusal, Site},
    graph::{Element, Options},
};

pub(super) fn bilinear(site: &Site) -> Result<Record, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let (align_corners, half_pixel_centers) = corners_and_centers(site);
    let (&[batch, in_h, in_w, channels], &[_, out_h, out_w, _]) =
        (input.shape.as_slice(), output.shape.as_slice())
    else {
        return Err(LIMITS.refuse(format!("{:?} to {:?}", input.shape, output.shape)));
    };
    let rounding = rounding(site);
    let integers =
        rounding == Rounding::AWAY && matches!(input.element, Element::INT8 | Element::INT16);
    let scale = |input: u32, output: u32| {
        let (input, output) = match align_corners && output > 1 {
            true => (input - 1, output - 1),
            false => (input, output),
        };
        if integers {
            let tenth = (u64::from(input) << 10) + u64::from(output / 2);
            u32::try_from(tenth / u64::from(output)).unwrap_or(u32::MAX)
        } else {
            (input as f32 / output as f32).to_bits()
        }
    };
    let params = ResizeBilinear {
        dtype: dtype(input),
        batch,
        in_h,
        in_w,
        channels,
        out_h,
        out_w,
        half_pixel_centers: half_pixel_centers.into(),
        scale_h: scale(in_h, out_h),
        scale_w: scale(in_w, out_w),
        rounding,
    };
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Write(site.output_id()?),
    ];
    let sizes = resize_bilinear::sizes(&params);
    record(site, opcode::RESIZE_BILINEAR, &params, sizes, operands, 0)
}

/// `align_corners` and `half_pixel_centers` of a RESIZE operator.
pub(super) fn corners_and_centers(site: &Site) -> (bool, bool) {
    match site.operator.options {
        Options::Resize {
            align_corners,
            half_pixel_centers,
        } => (align_corners, half_pixel_centers),
        _ => (false, false),
    }
}
