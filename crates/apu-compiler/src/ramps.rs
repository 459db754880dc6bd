//! Ramps for convolutions: what rescales their sums in one multiplication, where that says the same for every sum that
//! a channel can have.

use std::{collections::HashMap, ops::RangeInclusive, slice, sync::Mutex, thread};

use apu_kernels::{
    ramp::{Finder, Ramp},
    requant::{Factor, Ties},
};
use apu_proto::program::{Conv2d, DType, DepthwiseConv2d, Outlier, Ramps, opcode};
use zerocopy::FromBytes;

use crate::legalise::{Operand, Record};

/// Channels of a block of packed weights; channel tables are padded to a multiple of it.
const LANES: usize = 16;
/// Taps in a group of packed weights.
const DEPTH: usize = 4;
/// Arrays of a channel table without ramps.
const ARRAYS: usize = 3;

/// Channels for which it is worth to begin another thread.
const CHANNELS_PER_THREAD: u64 = 2048;

/// Gives ramps to each convolution all of whose channels have one.
pub(crate) fn add(records: &mut [Record]) {
    let channels = records.iter().filter_map(channels).map(u64::from);
    let useful = channels.sum::<u64>() / CHANNELS_PER_THREAD;
    let most = thread::available_parallelism().map_or(1, usize::from);
    let helpers = usize::try_from(useful).map_or(most, |useful| useful.min(most - 1));
    let records = Mutex::new(records.iter_mut());
    thread::scope(|scope| {
        for _ in 0..helpers {
            // One that can't be had isn't needed.
            let _ = thread::Builder::new().spawn_scoped(scope, || add_to_next(&records));
        }
        add_to_next(&records);
    });
}

/// The output channels of a convolution.
fn channels(record: &Record) -> Option<u32> {
    match record.opcode {
        opcode::CONV_2D => Some(record.params::<Conv2d>()?.window.out_c),
        opcode::DEPTHWISE_CONV_2D => Some(record.params::<DepthwiseConv2d>()?.window.out_c),
        _ => None,
    }
}

/// Gives ramps to one record after the other until nobody has left any.
fn add_to_next(records: &Mutex<slice::IterMut<Record>>) {
    let mut finder = Finder::default();
    let next = || records.lock().ok()?.next();
    while let Some(record) = next() {
        let found = match record.opcode {
            opcode::CONV_2D => of_conv_2d(record, &mut finder),
            opcode::DEPTHWISE_CONV_2D => of_depthwise_conv_2d(record, &mut finder),
            _ => None,
        };
        if let (Some((arrays, ramps)), Some(Operand::Packed(table))) =
            (found, record.operands.get_mut(2))
        {
            table.extend(arrays);
            match record.opcode {
                opcode::CONV_2D => {
                    set(record, |params: &mut Conv2d| params.ramps = ramps);
                }
                _ => set(record, |params: &mut DepthwiseConv2d| params.ramps = ramps),
            }
        }
    }
}

fn set<T: FromBytes + zerocopy::IntoBytes + zerocopy::Immutable>(
    record: &mut Record,
    change: impl FnOnce(&mut T),
) {
    if let Some(mut params) = record.params::<T>() {
        change(&mut params);
        record.set_params(&params);
    }
}

/// What the channel table gets, and how many arrays that is.
fn of_conv_2d(record: &Record, finder: &mut Finder) -> Option<(Vec<u8>, u32)> {
    let params: Conv2d = record.params()?;
    let [_, Operand::Packed(weights), Operand::Packed(table), ..] = record.operands.as_slice()
    else {
        return None;
    };
    let outliers = params.outliers as usize * size_of::<Outlier>();
    let (arrays, outliers) = table.split_at_checked(table.len().checked_sub(outliers)?)?;
    let mut sums = vec![[0i64; 2]; params.window.out_c as usize];
    let depth = weights.len() / sums.len().next_multiple_of(LANES).max(1);
    for (block, sums) in weights
        .chunks(depth.max(1) * LANES)
        .zip(sums.chunks_mut(LANES))
    {
        for (lane, sums) in sums.iter_mut().enumerate() {
            let taps = block.chunks_exact(LANES * DEPTH);
            for &weight in taps.flat_map(|group| &group[lane * DEPTH..][..DEPTH]) {
                reach(
                    sums,
                    i32::from(weight.cast_signed()) - params.weight_zero_point,
                );
            }
        }
    }
    for outlier in <[Outlier]>::ref_from_bytes(outliers).ok()? {
        reach(sums.get_mut(outlier.channel as usize)?, outlier.rest);
    }
    let steps =
        params.clamp_min - params.output_zero_point..=params.clamp_max - params.output_zero_point;
    let ramps = Table::new(arrays, params.rounding)?.ramps(&steps, &sums, finder)?;
    Some(packed(&ramps))
}

/// As [`of_conv_2d`].
fn of_depthwise_conv_2d(record: &Record, finder: &mut Finder) -> Option<(Vec<u8>, u32)> {
    let params: DepthwiseConv2d = record.params()?;
    let [_, Operand::Packed(weights), Operand::Packed(arrays), ..] = record.operands.as_slice()
    else {
        return None;
    };
    let least = if params.dtype == DType::Int8 as u32 {
        i32::from(i8::MIN)
    } else {
        0
    };
    // Bytes from here on count from the zero point.
    let below = i64::from(params.input_zero_point - least);
    let channels = params.window.out_c as usize;
    let mut sums = vec![[0i64; 2]; channels];
    let taps = weights.as_chunks().0;
    for tap in taps.chunks(channels.next_multiple_of(LANES).max(1)) {
        for (sums, &weight) in sums.iter_mut().zip(tap) {
            let weight = i16::from_le_bytes(weight).into();
            reach(sums, weight);
            for end in sums {
                *end -= below * i64::from(weight);
            }
        }
    }
    let steps =
        params.clamp_min - params.output_zero_point..=params.clamp_max - params.output_zero_point;
    let ramps = Table::new(arrays, params.rounding)?.ramps(&steps, &sums, finder)?;
    Some(packed(&ramps))
}

/// Has the least and the greatest sum be those with one more tap of 0 to 255.
fn reach([least, most]: &mut [i64; 2], weight: i32) {
    let furthest = 255 * i64::from(weight);
    *least += furthest.min(0);
    *most += furthest.max(0);
}

/// A channel table without ramps.
struct Table<'a> {
    words: &'a [[u8; 4]],
    channels: usize,
    ties: Ties,
}

impl<'a> Table<'a> {
    fn new(arrays: &'a [u8], rounding: u32) -> Option<Self> {
        let words = arrays.as_chunks().0;
        Some(Self {
            words,
            channels: words.len() / ARRAYS,
            ties: Ties::new("rounding", rounding).ok()?,
        })
    }

    fn word(&self, array: usize, channel: usize) -> i32 {
        i32::from_le_bytes(self.words[array * self.channels + channel])
    }

    /// A ramp for each channel, whose products reach from one sum to another. Channels with the same factor share
    /// theirs.
    fn ramps(
        &self,
        steps: &RangeInclusive<i32>,
        sums: &[[i64; 2]],
        finder: &mut Finder,
    ) -> Option<Vec<Ramp>> {
        let mut reach = HashMap::new();
        for (channel, &[least, most]) in sums.iter().enumerate() {
            let bias = i64::from(self.word(0, channel));
            let ends = reach.entry(self.factor(channel)).or_insert([bias; 2]);
            *ends = [ends[0].min(bias + least), ends[1].max(bias + most)];
        }
        let mut ramps = HashMap::new();
        for (words, [least, most]) in reach {
            let sums = i32::try_from(least).ok()?..=i32::try_from(most).ok()?;
            let factor = Factor::from_words(self.ties, words);
            ramps.insert(words, finder.ramp(factor, steps.clone(), sums)?);
        }
        let of = |channel| ramps.get(&self.factor(channel)).copied();
        (0..sums.len()).map(of).collect()
    }

    /// The words that are a channel's factor.
    fn factor(&self, channel: usize) -> [i32; 2] {
        [1, 2].map(|array| self.word(array, channel))
    }
}

fn packed(ramps: &[Ramp]) -> (Vec<u8>, u32) {
    let kind = if ramps.iter().any(Ramp::is_fine) {
        Ramps::FINE
    } else if ramps.iter().any(Ramp::is_bent) {
        Ramps::BENT
    } else {
        Ramps::STRAIGHT
    };
    let padded = ramps.len().next_multiple_of(LANES);
    let array = |word: fn(&Ramp) -> f32| {
        let words = ramps.iter().map(word).chain(std::iter::repeat(0.0));
        words.take(padded).flat_map(f32::to_le_bytes)
    };
    let words: [fn(&Ramp) -> f32; 4] = [|r| r.slope, |r| r.start, |r| r.start_below, |r| r.rest];
    let arrays = words.into_iter().take(kind as usize).flat_map(array);
    (arrays.collect(), kind)
}
