//! Channels that are the same in every run, as pruned models have many: where a convolution reads them, they are
//! part of its bias, and nobody computes them.
//!
//! A channel is constant if a convolution has only zeros for it. Depthwise convolutions behind that keep it
//! so, where it is their zero: then it is in the padding what it is elsewhere. What is left is a multiple of
//! sixteen channels, the width that kernels work in.

mod channels;

use std::collections::HashMap;

use apu_kernels::{conv_2d, depthwise_conv_2d};
use apu_proto::program::{Conv2d, DepthwiseConv2d, Window, opcode};

use crate::{
    graph::{Graph, TensorId},
    legalise::{Operand, Record, Step},
};
use channels::{Channels, Matrix};

/// Channels that kernels work on at once.
const LANES: usize = 16;

/// Leaves out what can be left out, in the records and the shapes of tensors.
pub(crate) fn prune(graph: &mut Graph, steps: &mut [Step]) {
    let readers = Readers::of(graph, steps);
    let mut records: Vec<&mut Record> = steps
        .iter_mut()
        .flat_map(|step| match step {
            Step::Run(records) => records.as_mut_slice(),
            Step::Folded | Step::View { .. } => &mut [],
        })
        .collect();
    for first in 0..records.len() {
        let Some(chain) = Chain::new(&records, &readers, first) else {
            continue;
        };
        let width = |id: &TensorId| graph.tensors[*id].shape.last().copied();
        if let Some(pruned) = chain.pruned(&records)
            && chain.tensors.iter().all(|id| width(id) == Some(pruned.of))
        {
            for (index, record) in chain.records.iter().zip(pruned.records) {
                *records[*index] = record;
            }
            for id in chain.tensors {
                if let Some(channels) = graph.tensors[id].shape.last_mut() {
                    *channels = pruned.channels;
                }
            }
        }
    }
    for record in records {
        if let Some(table) = with_plain_factors(record) {
            record.operands[2] = Operand::Packed(table);
        }
    }
}

/// The channel table of a convolution whose constant channels have factors that no kernel takes a longer way for.
fn with_plain_factors(record: &Record) -> Option<Vec<u8>> {
    ends(record).filter(|_| record.opcode == opcode::CONV_2D)?;
    let params: Conv2d = record.params()?;
    let mut channels = Channels::of(record)?;
    let values = channels.constants(&Matrix::of(record)?, &params)?;
    channels.set(&values, &params)
}

/// The record that reads a tensor, if it is the only thing that does.
struct Readers(HashMap<TensorId, Option<usize>>);

impl Readers {
    fn of(graph: &Graph, steps: &[Step]) -> Self {
        let mut readers = HashMap::new();
        let mut add = |id, reader| {
            let only = readers.entry(id).or_insert(reader);
            if *only != reader {
                *only = None;
            }
        };
        let mut index = 0;
        for step in steps {
            match step {
                Step::Folded => {}
                Step::View { input, output } => {
                    add(*input, None);
                    add(*output, None);
                }
                Step::Run(records) => {
                    for record in records {
                        for operand in &record.operands {
                            match operand {
                                Operand::Read(id) => add(*id, Some(index)),
                                Operand::Part(id, _) => add(*id, None),
                                _ => {}
                            }
                        }
                        index += 1;
                    }
                }
            }
        }
        for &id in graph.inputs.iter().chain(&graph.outputs) {
            add(id, None);
        }
        Self(readers)
    }

    fn only(&self, id: TensorId) -> Option<usize> {
        self.0.get(&id).copied().flatten()
    }
}

/// A convolution, depthwise ones behind it, and the convolution that reads what they make, with nobody
/// else who reads anything between them.
struct Chain {
    /// Indices.
    records: Vec<usize>,
    /// What lies between them.
    tensors: Vec<TensorId>,
}

/// The records of a chain without some of its channels.
struct Pruned {
    records: Vec<Record>,
    /// Those left, and those that there were.
    channels: u32,
    of: u32,
}

impl Chain {
    /// The chain that begins with record `first`.
    fn new(records: &[&mut Record], readers: &Readers, first: usize) -> Option<Self> {
        if records[first].opcode != opcode::CONV_2D {
            return None;
        }
        let mut chain = Self {
            records: vec![first],
            tensors: Vec::new(),
        };
        let mut last = first;
        loop {
            let (_, output) = ends(records[last])?;
            let next = readers.only(output)?;
            let (input, _) = ends(records[next])?;
            if input != output || next <= last {
                return None;
            }
            chain.tensors.push(output);
            chain.records.push(next);
            match records[next].opcode {
                opcode::CONV_2D => return Some(chain),
                opcode::DEPTHWISE_CONV_2D => last = next,
                _ => return None,
            }
        }
    }

    /// None if there is nothing that can be left out.
    fn pruned(&self, records: &[&mut Record]) -> Option<Pruned> {
        let (&first, rest) = self.records.split_first()?;
        let (&last, between) = rest.split_last()?;
        let (first, last) = (&*records[first], &*records[last]);
        let head: Conv2d = first.params()?;
        let channels = Channels::of(first)?;
        // What each channel is, if that is always the same.
        let mut values = channels.constants(&Matrix::of(first)?, &head)?;
        for &index in between {
            let record = &*records[index];
            let params: DepthwiseConv2d = record.params()?;
            if [params.window.in_c, params.window.out_c] != [head.window.out_c; 2] {
                return None;
            }
            let outputs = Channels::of(record)?.without_input(&params)?;
            for (value, output) in values.iter_mut().zip(outputs) {
                *value = value
                    .filter(|&value| value == params.input_zero_point)
                    .map(|_| output);
            }
        }
        let tail: Conv2d = last.params()?;
        if tail.window.in_c != head.window.out_c || tail.weight_zero_point != 0 {
            return None;
        }
        if pads(&tail.window) {
            for value in &mut values {
                *value = value.filter(|&value| value == tail.input_zero_point);
            }
        }
        let kept = kept(&values)?;
        let count = u32::try_from(kept.len()).ok()?;
        let mut pruned = vec![with_outputs(first, &kept)?];
        for &index in between {
            pruned.push(with_channels(records[index], &kept)?);
        }
        pruned.push(with_inputs(last, &kept, &values)?);
        Some(Pruned {
            records: pruned,
            channels: count,
            of: head.window.out_c,
        })
    }
}

/// The tensors that a convolution reads and writes, if it is a whole one.
fn ends(record: &Record) -> Option<(TensorId, TensorId)> {
    match record.operands.as_slice() {
        [
            Operand::Read(input),
            Operand::Packed(_),
            Operand::Packed(_),
            Operand::Write(output),
            ..,
        ] => Some((*input, *output)),
        _ => None,
    }
}

/// Whether a window reaches beyond the input.
fn pads(window: &Window) -> bool {
    let beyond = |out: u32, stride: u32, kernel: u32, dilation: u32, before: u32, input: u32| {
        before > 0 || (out - 1) * stride + (kernel - 1) * dilation >= input
    };
    beyond(
        window.out_h,
        window.stride_h,
        window.kernel_h,
        window.dilation_h,
        window.pad_top,
        window.in_h,
    ) || beyond(
        window.out_w,
        window.stride_w,
        window.kernel_w,
        window.dilation_w,
        window.pad_left,
        window.in_w,
    )
}

/// The channels that stay, in order: those that aren't constant, and as many more as make whole vectors.
fn kept(values: &[Option<i32>]) -> Option<Vec<usize>> {
    let live = values.iter().filter(|value| value.is_none()).count();
    let count = live.next_multiple_of(LANES).max(LANES);
    if count >= values.len() {
        return None;
    }
    let mut spare = count - live;
    let kept = values.iter().enumerate().filter(|(_, value)| {
        let stays = value.is_none() || spare > 0;
        spare -= usize::from(value.is_some() && stays);
        stays
    });
    Some(kept.map(|(channel, _)| channel).collect())
}

/// A convolution with some of its outputs.
fn with_outputs(record: &Record, kept: &[usize]) -> Option<Record> {
    let mut pruned = record.clone();
    let mut params: Conv2d = record.params()?;
    pruned.operands[1] = Operand::Packed(Matrix::of(record)?.of_channels(kept));
    pruned.operands[2] = Operand::Packed(Channels::of(record)?.only(kept));
    pruned.macs = scaled(record.macs, kept.len(), params.window.out_c);
    params.window.out_c = kept.len() as u32;
    pruned.set_params(&params);
    pruned.set_scratch(&conv_2d::sizes(&params).ok()?);
    Some(pruned)
}

/// A depthwise convolution of some channels.
fn with_channels(record: &Record, kept: &[usize]) -> Option<Record> {
    let mut pruned = record.clone();
    let mut params: DepthwiseConv2d = record.params()?;
    let Operand::Packed(weights) = &record.operands[1] else {
        return None;
    };
    let channels = params.window.out_c as usize;
    pruned.operands[1] = Operand::Packed(channels::depthwise(weights, channels, kept));
    pruned.operands[2] = Operand::Packed(Channels::of(record)?.only(kept));
    pruned.macs = scaled(record.macs, kept.len(), params.window.out_c);
    (params.window.in_c, params.window.out_c) = (kept.len() as u32, kept.len() as u32);
    pruned.set_params(&params);
    depthwise_conv_2d::sizes(&params).ok()?;
    Some(pruned)
}

/// A convolution that reads some of its inputs; the others have these values.
fn with_inputs(record: &Record, kept: &[usize], values: &[Option<i32>]) -> Option<Record> {
    let mut pruned = record.clone();
    let mut params: Conv2d = record.params()?;
    let matrix = Matrix::of(record)?;
    let unsigned = channels::unsigned(params.dtype);
    let gone = |input: usize| match values.get(input) {
        Some(&Some(value)) if kept.binary_search(&input).is_err() => Some(value + unsigned),
        _ => None,
    };
    let bias = matrix.products(values.len(), gone);
    pruned.operands[1] = Operand::Packed(matrix.of_inputs(values.len(), kept));
    pruned.operands[2] = Operand::Packed(Channels::of(record)?.with_more_bias(&bias));
    pruned.macs = scaled(record.macs, kept.len(), params.window.in_c);
    params.window.in_c = kept.len() as u32;
    pruned.set_params(&params);
    pruned.set_scratch(&conv_2d::sizes(&params).ok()?);
    Some(pruned)
}

fn scaled(macs: u64, kept: usize, of: u32) -> u64 {
    macs / u64::from(of.max(1)) * kept as u64
}
