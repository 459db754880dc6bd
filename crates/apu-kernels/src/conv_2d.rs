//! CONV_2D, and FULLY_CONNECTED as a 1x1 window.

#[cfg(target_arch = "x86_64")]
mod abreast;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod extras;
#[cfg(target_arch = "x86_64")]
mod few;
#[cfg(target_arch = "x86_64")]
mod narrow;
#[cfg(target_arch = "aarch64")]
mod neon;
mod outliers;
#[cfg(target_arch = "x86_64")]
mod padded;
mod plain;
#[cfg(target_arch = "x86_64")]
mod pointwise;
#[cfg(target_arch = "x86_64")]
mod registers;
#[cfg(target_arch = "x86_64")]
mod ring;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod rows;
#[cfg(target_arch = "x86_64")]
mod runs;
#[cfg(target_arch = "x86_64")]
mod store;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod unfold;
#[cfg(target_arch = "x86_64")]
mod vector;

use self::outliers::Outliers;
use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    channel_table::{ChannelTable, LANES, ramp_arrays},
    isa::Level,
    limits::{at_least, bytes, exactly, sum, within},
    requant::Ties,
    share::{Cut, MAX_SHARES, Part},
    window::Window,
};
use apu_proto::program::{self, CONV_TILE, MAX_OUTLIERS, Outlier};
use core::{mem::size_of, ops::Range};

/// Parameters in range, to be used often.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    expect(dead_code, reason = "only the fast paths unfold windows")
)]
pub struct Conv2d {
    window: Window,
    byte: Byte,
    input_zero_point: i32,
    weight_zero_point: i32,
    output_zero_point: i32,
    clamp: Clamp,
    ties: Ties,
    /// Bytes of one row of a window, padded to a multiple of 4.
    pitch: usize,
    /// Bytes of a window whose rows are padded: `pitch` times its rows.
    depth: usize,
    /// Whether windows must be unfolded into scratch, or are rows of the input already.
    unfolds: bool,
    /// Windows that are unfolded at once.
    tile: usize,
    /// The channel of the table that the first channel of the output is.
    first_channel: usize,
    /// Bytes of the outliers.
    outliers: usize,
    /// Arrays of ramps.
    ramps: u32,
    sizes: Sizes,
}

/// Multiply-accumulates that are worth a share of their own.
const SHARE: usize = 1 << 18;
/// Channels that a share of a single window has a multiple of.
const SHARE_CHANNELS: usize = 4 * LANES;

impl Conv2d {
    /// Checks parameters.
    ///
    /// # Errors
    ///
    /// One is out of range, or an operand would be too large.
    pub fn new(p: &program::Conv2d) -> Result<Self, Error> {
        let byte = Byte::new("dtype", p.dtype)?;
        byte.zero_point("input_zero_point", p.input_zero_point)?;
        within("weight_zero_point", p.weight_zero_point, -128, 127)?;
        within("outliers", p.outliers, 0, MAX_OUTLIERS as i64)?;
        byte.zero_point("output_zero_point", p.output_zero_point)?;
        let window = Window::new(&p.window)?;
        let w = &p.window;
        let pitch = bytes("packed weights", &[w.kernel_w, w.in_c])?.next_multiple_of(4);
        let k = bytes("packed weights", &[w.kernel_h, pitch])?;
        let unfolds = !window.is_pointwise() || !w.in_c.is_multiple_of(4);
        let scratch = if unfolds {
            bytes("scratch", &[CONV_TILE as u32, k])?
        } else {
            0
        };
        let outliers = p.outliers * size_of::<Outlier>() as u32;
        Ok(Self {
            window,
            byte,
            input_zero_point: p.input_zero_point,
            weight_zero_point: p.weight_zero_point,
            output_zero_point: p.output_zero_point,
            clamp: Clamp::new(byte, p.clamp_min, p.clamp_max)?,
            ties: Ties::new("rounding", p.rounding)?,
            pitch: pitch as usize,
            depth: k as usize,
            unfolds,
            tile: CONV_TILE,
            first_channel: 0,
            outliers: outliers as usize,
            ramps: ramp_arrays(p.ramps)?,
            sizes: Sizes::new([
                window.in_bytes(),
                bytes(
                    "packed weights",
                    &[w.out_c.next_multiple_of(LANES as u32), k],
                )?,
                sum(
                    "channel table",
                    &[ChannelTable::bytes(w.out_c, p.ramps)?, outliers],
                )?,
                window.out_bytes(),
                scratch,
            ]),
        })
    }

    /// The most shares that there can be.
    pub fn most_shares(&self) -> usize {
        let parts = if self.is_one_window() {
            self.window.out_c.div_ceil(SHARE_CHANNELS)
        } else {
            self.window.parts()
        };
        parts.min(MAX_SHARES)
    }

    /// In how many shares it is worth being computed.
    pub fn shares(&self) -> usize {
        let macs = (self.window.out_bytes() as usize).saturating_mul(self.depth);
        (macs / SHARE).clamp(1, self.most_shares())
    }

    /// The bytes of share `index` of `of`, which is no more than [`Self::most_shares`]: of channels if
    /// there is but one window, else of windows.
    pub fn cut(&self, index: usize, of: usize) -> Cut {
        let part = Part { index, of };
        let &[input, weights, _, _, scratch] = self.sizes.as_slice() else {
            unreachable!("a convolution has five operands");
        };
        let mut reads = [0..input as usize, 0..weights as usize];
        let output;
        if self.is_one_window() {
            let channels = self.window.out_c;
            let Range { start, end } = part.range(channels.div_ceil(SHARE_CHANNELS));
            output = start * SHARE_CHANNELS..channels.min(end * SHARE_CHANNELS);
            let block = self.depth * LANES;
            reads[1] = output.start / LANES * block..output.end.div_ceil(LANES) * block;
        } else {
            (_, [reads[0], output]) = self.window.part(part);
        }
        Cut {
            reads,
            output,
            // It is for all shares together.
            scratch: scratch as usize / self.tile * (self.tile / of),
        }
    }

    /// What computes the share of [`Self::cut`].
    pub fn share(&self, index: usize, of: usize) -> Self {
        let &[_, _, table, ..] = self.sizes.as_slice() else {
            unreachable!("a convolution has five operands");
        };
        let cut = self.cut(index, of);
        let [input, weights] = cut.reads;
        let sizes = [
            input.len() as u32,
            weights.len() as u32,
            table,
            cut.output.len() as u32,
            cut.scratch as u32,
        ];
        let (window, first_channel) = if self.is_one_window() {
            let window = self.window.with_outputs(cut.output.len());
            (window, self.first_channel + cut.output.start)
        } else {
            let (window, _) = self.window.part(Part { index, of });
            (window, self.first_channel)
        };
        Self {
            window,
            first_channel,
            tile: self.tile / of,
            sizes: Sizes::new(sizes),
            ..*self
        }
    }

    fn is_one_window(&self) -> bool {
        self.window.out_bytes() as usize == self.window.out_c
    }

    /// Whether zeros pad the kernel rows of the weights: fast paths may multiply them by anything.
    fn is_padded_with_zeros(&self, weights: &[u8]) -> bool {
        let taps = self.window.kernel_w * self.window.in_c;
        let padding = u32::MAX
            .checked_shl(8 * (taps % 4) as u32)
            .filter(|_| taps < self.pitch);
        let Some(padding) = padding else { return true };
        let groups = weights.as_chunks::<4>().0.as_chunks::<LANES>().0;
        let last = groups.chunks_exact(self.pitch / 4).filter_map(<[_]>::last);
        let words = last.flatten().map(|&taps| u32::from_le_bytes(taps));
        words.fold(0, |any, word| any | word) & padding == 0
    }

    /// Multiplications for one element of the output, those with padding included.
    pub fn taps(&self) -> usize {
        self.depth
    }

    /// The sizes of input, packed weights, channel table, output and scratch.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Computes `output` from `input`.
    ///
    /// # Errors
    ///
    /// When an operand has another size than [`Self::sizes`] says; nothing has been written then.
    pub fn run(
        &self,
        isa: Isa,
        input: &[u8],
        weights: &[u8],
        table: &[u8],
        output: &mut [u8],
        scratch: &mut [u8],
    ) -> Result<(), Error> {
        let &[
            input_size,
            weights_size,
            table_size,
            output_size,
            scratch_size,
        ] = self.sizes.as_slice()
        else {
            unreachable!("a convolution has five operands");
        };
        exactly("input", input, input_size)?;
        exactly("packed weights", weights, weights_size)?;
        exactly("channel table", table, table_size)?;
        exactly("output", output, output_size)?;
        at_least("scratch", scratch, scratch_size)?;
        let (table, outliers) = ChannelTable::new(table, self.ties, self.ramps, self.outliers);
        let table = table.from(self.first_channel);
        let outliers = Outliers::new(self, outliers);
        let level = match self.ties {
            Ties::AwayFloat if !takes_ramps(isa, self.ramps) => Level::Plain,
            _ if !self.is_padded_with_zeros(weights) => Level::Plain,
            _ => isa.level(),
        };
        match level {
            Level::Plain => plain::run(self, input, weights, table, outliers, output),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: here and below, a level is a proof that the processor has its instructions.
            Level::Avx2 => unsafe {
                avx2::run(self, input, weights, table, outliers, output, scratch)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2Vnni => unsafe {
                avx2::run_vnni(self, input, weights, table, outliers, output, scratch)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512Vnni if vector::takes(self) => unsafe {
                vector::run(self, input, weights, table, outliers, output)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above; whoever permutes bytes has VBMI, too.
            Level::Avx512Vnni if isa.permutes_bytes() && abreast::takes(self, &table, outliers) => unsafe {
                abreast::run(self, input, weights, table, outliers, output)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512Vnni if pointwise::takes(self, &table, outliers) => unsafe {
                pointwise::run(self, input, weights, table, outliers, output)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512Vnni if padded::takes(self, &table, outliers, scratch.len()) => unsafe {
                padded::run(self, input, weights, table, output, scratch)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512Vnni => unsafe {
                avx512::run(self, input, weights, table, outliers, output, scratch)
            },
            #[cfg(target_arch = "aarch64")]
            Level::Neon(products) => {
                let operands = neon::Operands {
                    input,
                    weights,
                    table,
                    outliers,
                    output,
                    scratch,
                };
                neon::run(products, self, operands);
            }
        }
        Ok(())
    }
}

/// Whether the kernels of an instruction set follow ramps, and there are some.
fn takes_ramps(isa: Isa, ramps: u32) -> bool {
    match isa.level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Vnni => ramps != program::Ramps::NONE,
        _ => false,
    }
}

/// As [`Conv2d::sizes`].
///
/// # Errors
///
/// As [`Conv2d::new`].
pub fn sizes(params: &program::Conv2d) -> Result<Sizes, Error> {
    Ok(Conv2d::new(params)?.sizes)
}

/// As [`Conv2d::run`].
///
/// # Errors
///
/// As [`Conv2d::new`] and [`Conv2d::run`].
pub fn run(
    isa: Isa,
    params: &program::Conv2d,
    input: &[u8],
    weights: &[u8],
    table: &[u8],
    output: &mut [u8],
    scratch: &mut [u8],
) -> Result<(), Error> {
    Conv2d::new(params)?.run(isa, input, weights, table, output, scratch)
}
