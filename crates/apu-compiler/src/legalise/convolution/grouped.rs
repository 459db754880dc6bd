//! CONV_2D whose filters see a group of the channels each.

use apu_proto::program::Window;

use super::{Common, depthwise, multiplied, rounding};
use crate::{
    constraints::{Refusal, Site},
    legalise::{
        Operand, Record, size,
        strided::{Side, Transfer, Walk, copy},
    },
    pack,
};

/// A depthwise convolution where a group has one channel; else one convolution a group, between copies
/// of its channels. `depth` is the channels of a group.
pub(super) fn conv_2d(site: &Site, window: Window, depth: u32) -> Result<Vec<Record>, Refusal> {
    let common = Common::new(site, rounding(site))?;
    if depth == 1 {
        return Ok(vec![one_channel_each(site, window, common)?]);
    }
    let groups = window.in_c / depth;
    let part = Window {
        in_c: depth,
        out_c: window.out_c / groups,
        ..window
    };
    let taken = Channels::of(site.need_input(0)?.count(), window.in_c, depth)?;
    let made = Channels::of(site.need_output()?.count(), window.out_c, part.out_c)?;
    let mut records = Vec::with_capacity(3 * groups as usize);
    for group in 0..groups {
        let [input, output] = [Side::input(site, 0)?, Side::output(site, 0)?];
        records.push(taken.apart(site, group, input)?);
        let common = common.of_channels(group * part.out_c, part.out_c);
        let [input, output_of_group] = [taken.side(0), made.side(1)].map(|side| side.operand);
        records.push(multiplied(site, part, input, output_of_group, common)?);
        records.push(made.together(site, group, output)?);
    }
    Ok(records)
}

fn one_channel_each(site: &Site, window: Window, common: Common) -> Result<Record, Refusal> {
    let filters = window.out_c as usize;
    let taps = common.weights.data.len() / filters.max(1);
    let weight = |tap: usize, filter: usize| common.weights.data[filter * taps + tap];
    let by_tap: Vec<u8> = (0..taps)
        .flat_map(|tap| (0..filters).map(move |filter| weight(tap, filter)))
        .collect();
    let weights = pack::Weights {
        data: &by_tap,
        ..common.weights
    };
    depthwise(site, window, &Common { weights, ..common })
}

/// The channels of one group among all.
struct Channels {
    pixels: u32,
    all: u32,
    count: u32,
}

impl Channels {
    fn of(elements: u64, all: u32, count: u32) -> Result<Self, Refusal> {
        Ok(Self {
            pixels: size("pixels", elements / u64::from(all))?,
            all,
            count,
        })
    }

    /// Memory for a group's elements alone.
    fn side(&self, index: usize) -> Side {
        let count = u64::from(self.pixels) * u64::from(self.count);
        Side {
            operand: Operand::Temporary { index, size: count },
            count,
        }
    }

    /// Where a group's elements are among all, and where alone.
    fn walks(&self, group: u32) -> [Walk; 2] {
        let among_all = Walk {
            start: i64::from(group * self.count),
            stride: vec![self.all.into(), 1],
        };
        [among_all, Walk::whole(&[self.pixels, self.count])]
    }

    fn apart(&self, site: &Site, group: u32, from: Side) -> Result<Record, Refusal> {
        let [input, output] = self.walks(group);
        self.copied(site, from, self.side(0), input, output)
    }

    fn together(&self, site: &Site, group: u32, to: Side) -> Result<Record, Refusal> {
        let [output, input] = self.walks(group);
        self.copied(site, self.side(1), to, input, output)
    }

    fn copied(
        &self,
        site: &Site,
        from: Side,
        to: Side,
        input: Walk,
        output: Walk,
    ) -> Result<Record, Refusal> {
        let moved = Transfer {
            shape: vec![self.pixels, self.count],
            input,
            output,
        };
        copy(site, site.need_input(0)?, from, to, moved)
    }
}
