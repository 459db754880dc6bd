//! TFLite_Detection_PostProcess: inputs as float32, the detections in memory of their own, and copies of
//! their parts.

use apu_kernels::{dequantize, detection};
use apu_proto::program::{self, opcode};

use super::{
    Operand, Record, record, scale, scratch, size,
    strided::{Side, Transfer, Walk, copy},
};
use crate::{
    constraints::{ARGUMENTS, Refusal, Site},
    graph::{Detection, Element, Options},
};

/// Numbers of the temporaries: one an input, then the detections.
const DETECTIONS: usize = 3;

pub(super) fn detection(site: &Site) -> Result<Vec<Record>, Refusal> {
    let Options::Detection(options) = site.operator.options else {
        return Err(ARGUMENTS.refuse("no attributes"));
    };
    let params = params(site, &options)?;
    let mut records = Vec::new();
    let [boxes, scores, anchors] = [0, 1, 2].map(|index| plain(site, index, &mut records));
    let sizes = detection::sizes(&params);
    let floats = 6 * u64::from(params.max_detections) + 1;
    let detections = || Operand::Temporary {
        index: DETECTIONS,
        size: 4 * floats,
    };
    let operands = [boxes?, scores?, anchors?, detections(), scratch(&sizes, 4)];
    records.push(record(
        site,
        opcode::DETECTION,
        &params,
        sizes,
        operands,
        0,
    )?);
    let mut start = 0;
    for (index, output) in site.outputs().enumerate() {
        let count: u32 = size("elements", output.count())?;
        let moved = Transfer {
            shape: vec![count],
            input: Walk {
                start,
                stride: vec![1],
            },
            output: Walk::whole(&[count]),
        };
        let from = Side {
            operand: detections(),
            count: floats,
        };
        records.push(copy(site, output, from, Side::output(site, index)?, moved)?);
        start += i64::from(count);
    }
    Ok(records)
}

fn params(site: &Site, options: &Detection) -> Result<program::Detection, Refusal> {
    let shapes: Vec<&[u32]> = site.activations().map(|t| t.shape.as_slice()).collect();
    let refuse = || ARGUMENTS.refuse(format!("shapes {shapes:?}"));
    let most = options.max_detections;
    let &[
        &[1, boxes, encoding],
        &[1, rated, columns],
        &[anchors, 4],
        ref outputs @ ..,
    ] = shapes.as_slice()
    else {
        return Err(refuse());
    };
    let wanted: [&[u32]; 4] = [&[1, most, 4], &[1, most], &[1, most], &[1]];
    let background = columns.checked_sub(options.classes).ok_or_else(refuse)?;
    if rated != boxes || anchors != boxes || outputs != wanted {
        return Err(refuse());
    }
    Ok(program::Detection {
        boxes,
        encoding,
        classes: options.classes,
        background,
        max_detections: most,
        per_class: if options.regular {
            options.per_class
        } else {
            0
        },
        score_threshold: options.score_threshold.to_bits(),
        overlap_threshold: options.overlap_threshold.to_bits(),
        scale: options.scale.map(f32::to_bits),
    })
}

/// An input as float32, dequantised first if it has to be.
fn plain(site: &Site, index: usize, records: &mut Vec<Record>) -> Result<Operand, Refusal> {
    let (input, id) = (site.need_input(index)?, site.input_id(index)?);
    if input.element == Element::FLOAT32 {
        return Ok(Operand::Read(id));
    }
    let params = scale::to_float(input)?;
    let floats = || Operand::Temporary {
        index,
        size: 4 * input.count(),
    };
    let operands = [Operand::Read(id), floats()];
    let sizes = dequantize::sizes(&params);
    records.push(record(
        site,
        opcode::DEQUANTIZE,
        &params,
        sizes,
        operands,
        0,
    )?);
    Ok(floats())
}
