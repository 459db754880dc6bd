//! DEPTHWISE_CONV_2D.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod lines;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod places;
mod plain;
#[cfg(target_arch = "x86_64")]
mod slide;
#[cfg(target_arch = "x86_64")]
mod small;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod strips;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::isa::Level;
use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    channel_table::{ChannelTable, LANES, ramp_arrays},
    limits::{agree, bytes, exactly},
    requant::Ties,
    share::{Cut, MAX_SHARES, Part},
    window::Window,
};
use apu_proto::program;

/// Parameters in range, to be used often; `out_c` is a multiple of `in_c`.
#[derive(Clone, Copy, Debug)]
pub struct DepthwiseConv2d {
    window: Window,
    byte: Byte,
    input_zero_point: i32,
    output_zero_point: i32,
    clamp: Clamp,
    ties: Ties,
    /// Arrays of ramps.
    ramps: u32,
    /// None if the lines of this window don't fit.
    #[cfg(target_arch = "x86_64")]
    grid: Option<lines::Grid>,
    /// None if the images aren't small.
    #[cfg(target_arch = "x86_64")]
    small: Option<small::Places>,
    sizes: Sizes,
}

/// Multiply-accumulates that are worth a share of their own.
const SHARE: usize = 1 << 15;

impl DepthwiseConv2d {
    /// Checks parameters.
    ///
    /// # Errors
    ///
    /// One is out of range, or an operand would be too large.
    pub fn new(p: &program::DepthwiseConv2d) -> Result<Self, Error> {
        let byte = Byte::new("dtype", p.dtype)?;
        byte.zero_point("input_zero_point", p.input_zero_point)?;
        byte.zero_point("output_zero_point", p.output_zero_point)?;
        let window = Window::new(&p.window)?;
        let w = &p.window;
        agree(
            "out_c",
            w.out_c,
            "a multiple of in_c",
            w.out_c.next_multiple_of(w.in_c),
        )?;
        let padded = w.out_c.next_multiple_of(LANES as u32);
        Ok(Self {
            window,
            byte,
            input_zero_point: p.input_zero_point,
            output_zero_point: p.output_zero_point,
            clamp: Clamp::new(byte, p.clamp_min, p.clamp_max)?,
            ties: Ties::new("rounding", p.rounding)?,
            ramps: ramp_arrays(p.ramps)?,
            #[cfg(target_arch = "x86_64")]
            grid: lines::Grid::new(window),
            #[cfg(target_arch = "x86_64")]
            small: small::Places::new(&window),
            sizes: Sizes::new([
                window.in_bytes(),
                bytes("packed weights", &[w.kernel_h, w.kernel_w, padded, 2])?,
                ChannelTable::bytes(w.out_c, p.ramps)?,
                window.out_bytes(),
            ]),
        })
    }

    /// The most shares that there can be.
    pub fn most_shares(&self) -> usize {
        self.window.parts().min(MAX_SHARES)
    }

    /// In how many shares it is worth being computed.
    pub fn shares(&self) -> usize {
        let taps = self.window.kernel_h * self.window.kernel_w;
        let macs = (self.window.out_bytes() as usize).saturating_mul(taps);
        (macs / SHARE).clamp(1, self.most_shares())
    }

    /// The bytes of share `index` of `of`, which is no more than [`Self::most_shares`].
    pub fn cut(&self, index: usize, of: usize) -> Cut {
        let &[_, weights, ..] = self.sizes.as_slice() else {
            unreachable!("a depthwise convolution has four operands");
        };
        let (_, [input, output]) = self.window.part(Part { index, of });
        Cut {
            reads: [input, 0..weights as usize],
            output,
            scratch: 0,
        }
    }

    /// What computes the share of [`Self::cut`].
    pub fn share(&self, index: usize, of: usize) -> Self {
        let &[_, weights, table, _] = self.sizes.as_slice() else {
            unreachable!("a depthwise convolution has four operands");
        };
        let (window, _) = self.window.part(Part { index, of });
        let sizes = [window.in_bytes(), weights, table, window.out_bytes()];
        Self {
            window,
            #[cfg(target_arch = "x86_64")]
            grid: lines::Grid::new(window),
            #[cfg(target_arch = "x86_64")]
            small: small::Places::new(&window),
            sizes: Sizes::new(sizes),
            ..*self
        }
    }

    /// Multiplications for one element of the output, those with padding included.
    pub fn taps(&self) -> usize {
        self.window.kernel_h * self.window.kernel_w
    }

    /// The sizes of input, packed weights, channel table and output.
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
    ) -> Result<(), Error> {
        let &[input_size, weights_size, table_size, output_size] = self.sizes.as_slice() else {
            unreachable!("a depthwise convolution has four operands");
        };
        exactly("input", input, input_size)?;
        exactly("packed weights", weights, weights_size)?;
        exactly("channel table", table, table_size)?;
        exactly("output", output, output_size)?;
        let (table, _) = ChannelTable::new(table, self.ties, self.ramps, 0);
        #[cfg(target_arch = "x86_64")]
        if isa.level() == Level::Avx512Vnni
            && slide::takes(self)
            // SAFETY: here and below, a level is a proof that the processor has its instructions.
            && let Some(is_wide) = unsafe { avx512::are_wide(weights) }
        {
            // SAFETY: as above.
            unsafe { slide::run(self, input, (weights, is_wide), table, output) };
            return Ok(());
        }
        #[cfg(target_arch = "x86_64")]
        if isa.level() == Level::Avx512Vnni
            && let Some(places) = &self.small
            && self.is_rounded_by_vectors()
        {
            // SAFETY: as above.
            unsafe { small::run(self, places, input, weights, table, output) };
            return Ok(());
        }
        match isa.level() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512Vnni if unsafe { avx512::takes(self, weights) } => unsafe {
                avx512::run(self, input, weights, table, output);
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above; whoever has AVX-512 has AVX2.
            Level::Avx2 | Level::Avx2Vnni | Level::Avx512Vnni if self.is_common() => unsafe {
                avx2::run(self, input, weights, table, output);
            },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            Level::Neon(_) if self.is_common() => unsafe {
                neon::run(self, input, weights, table, output);
            },
            _ => plain::run(self, input, weights, table, output),
        }
        Ok(())
    }
}

#[cfg(target_arch = "x86_64")]
impl DepthwiseConv2d {
    /// Whether kernels for AVX-512 can round: they follow ramps, and know some of the roundings.
    fn is_rounded_by_vectors(&self) -> bool {
        self.ramps != program::Ramps::NONE || matches!(self.ties, Ties::Away | Ties::Even)
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl DepthwiseConv2d {
    /// Whether the fast paths take it: a channel multiplier of 1, a kernel of usual size, and a rounding
    /// that they know.
    fn is_common(&self) -> bool {
        let Window {
            in_c,
            out_c,
            kernel_h,
            kernel_w,
            ..
        } = self.window;
        matches!(self.ties, Ties::Away | Ties::Even)
            && in_c == out_c
            && kernel_h * kernel_w <= strips::MAX_TAPS
    }
}

/// As [`DepthwiseConv2d::sizes`].
///
/// # Errors
///
/// As [`DepthwiseConv2d::new`].
pub fn sizes(params: &program::DepthwiseConv2d) -> Result<Sizes, Error> {
    Ok(DepthwiseConv2d::new(params)?.sizes)
}

/// As [`DepthwiseConv2d::run`].
///
/// # Errors
///
/// As [`DepthwiseConv2d::new`] and [`DepthwiseConv2d::run`].
pub fn run(
    isa: Isa,
    params: &program::DepthwiseConv2d,
    input: &[u8],
    weights: &[u8],
    table: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    DepthwiseConv2d::new(params)?.run(isa, input, weights, table, output)
}
