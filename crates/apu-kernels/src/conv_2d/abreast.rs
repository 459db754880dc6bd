//! A 3x3 window over three input channels, as first layers have, sixteen windows abreast (AVX-512 with VNNI and VBMI):
//! a lane of a vector of sums is a window, and each vector is a channel. One permutation makes what all channels
//! multiply, and no lane of it is there twice.

use super::{Conv2d, outliers::Outliers};
use crate::{
    channel_table::{ChannelTable, LANES, Words},
    window::Pixel,
    x86::{
        avx512::{Finish, load, store_64},
        ramp::{BENT, FINE, Ramp, STRAIGHT, clamped_4x16, kind},
    },
};
use core::{arch::x86_64::*, hint::black_box, ops::Range};

/// Rows of the window, and bytes of one.
const ROWS: usize = 3;
const TAPS: usize = 9;
/// Groups of four taps: two of each row, and the last taps of all rows together.
const GROUPS: usize = 2 * ROWS + 1;
/// Groups of a row of the packed weights.
const PACKED: usize = TAPS.div_ceil(4);
/// Windows at once.
const WINDOWS: usize = LANES;
/// Channels whose sums are in registers at once.
const CHANNELS: usize = 8;
/// Most outliers.
const MAX_OUTLIERS: usize = 6;

/// Whether [`run`] takes a convolution, on a processor that permutes bytes.
pub(super) fn takes(conv: &Conv2d, table: &ChannelTable<'_>, outliers: Outliers<'_>) -> bool {
    let window = &conv.window;
    let channels = window.out_c;
    let has_shape = (window.kernel_h, window.kernel_w, window.in_c) == (ROWS, 3, 3)
        && (window.dilation_h, window.dilation_w) == (1, 1)
        && (1..=2).contains(&window.stride_w)
        && window.out_w >= WINDOWS
        && [CHANNELS, 2 * CHANNELS].contains(&channels);
    has_shape
        && conv.weight_zero_point == 0
        && table.ramps.is_some()
        && outliers.of(0..channels).count() <= MAX_OUTLIERS
        && (outliers.of(0..channels)).all(|outlier| i8::try_from(outlier.rest).is_ok())
}

/// Computes what it [`takes`].
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
pub(super) fn run(
    conv: &Conv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    outliers: Outliers<'_>,
    output: &mut [u8],
) {
    let weights = weights.as_chunks().0;
    match conv.window.out_c {
        CHANNELS => column::<1>(conv, input, weights, table, outliers, output),
        _ => column::<2>(conv, input, weights, table, outliers, output),
    }
}

/// [`CHANNELS`] times `N`.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
fn column<const N: usize>(
    conv: &Conv2d,
    input: &[u8],
    weights: &[[u8; 64]],
    table: ChannelTable<'_>,
    outliers: Outliers<'_>,
    output: &mut [u8],
) {
    let mut parts = [Channels {
        weights: [[0; CHANNELS]; GROUPS],
        bias: [0; CHANNELS],
        ramps: [[0; CHANNELS]; 4],
    }; N];
    for (part, channel) in parts.iter_mut().zip((0..).step_by(CHANNELS)) {
        part.fill(weights, &table, channel);
    }
    let mut more = [None; MAX_OUTLIERS];
    for (more, outlier) in more.iter_mut().zip(outliers.of(0..N * CHANNELS)) {
        let firsts = match conv.window.stride_w {
            1 => load(const { &Places::new(1).firsts }),
            _ => load(const { &Places::new(2).firsts }),
        };
        *more = Some(More {
            channel: outlier.lane,
            bias: _mm512_set1_epi32(table.bias(outlier.lane)),
            kernel_y: outlier.kernel_y,
            places: _mm512_add_epi8(firsts, _mm512_set1_epi8(outlier.offset as i8)),
            weights: _mm512_set1_epi32(outlier.rest & 0xff),
        });
    }
    let column = Column {
        conv,
        kind: kind(&table),
        finish: Finish::new(conv.byte, conv.output_zero_point, conv.clamp),
        parts: &parts,
        outliers: &more,
    };
    column.run(input, output);
}

/// The channels, [`CHANNELS`] times `N`.
struct Column<'a, const N: usize> {
    conv: &'a Conv2d,
    /// That of the ramps.
    kind: u32,
    finish: Finish,
    parts: &'a [Channels; N],
    outliers: &'a [Option<More>; MAX_OUTLIERS],
}

/// [`CHANNELS`] of them.
#[derive(Clone, Copy)]
struct Channels {
    weights: [[i32; CHANNELS]; GROUPS],
    bias: [i32; CHANNELS],
    /// Slopes, starts, those below zero, and rests.
    ramps: [[i32; CHANNELS]; 4],
}

/// What a weight has more.
#[derive(Clone, Copy)]
struct More {
    channel: usize,
    bias: __m512i,
    kernel_y: usize,
    /// Of its tap in the windows' row.
    places: __m512i,
    weights: __m512i,
}

/// What the sums begin with.
type Starts<const N: usize> = [[__m512i; CHANNELS]; N];

/// The rows of some windows, each in as many vectors as they are apart in pixels.
type Rows<const V: usize> = [[__m512i; V]; ROWS];

/// Sixteen windows in a row.
struct Place {
    /// Where each row of theirs begins in the input; negative in the padding.
    rows: [isize; ROWS],
    /// The first window's first byte in a row, which may be in the padding before it.
    at: isize,
    /// The first window in the output.
    pixel: usize,
}

impl<const N: usize> Column<'_, N> {
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
    fn run(&self, input: &[u8], output: &mut [u8]) {
        match (self.conv.window.stride_w, self.kind) {
            (1, STRAIGHT) => self.all::<1, STRAIGHT>(input, output),
            (1, BENT) => self.all::<1, BENT>(input, output),
            (1, _) => self.all::<1, FINE>(input, output),
            (_, STRAIGHT) => self.all::<2, STRAIGHT>(input, output),
            (_, BENT) => self.all::<2, BENT>(input, output),
            (_, _) => self.all::<2, FINE>(input, output),
        }
    }

    /// All windows, which are `V` pixels apart.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
    fn all<const V: usize, const KIND: u32>(&self, input: &[u8], output: &mut [u8]) {
        let window = &self.conv.window;
        let mut starts = [[_mm512_setzero_si512(); CHANNELS]; N];
        for (starts, part) in starts.iter_mut().zip(self.parts) {
            for (start, &bias) in starts.iter_mut().zip(&part.bias) {
                *start = _mm512_set1_epi32(bias);
            }
        }
        for batch in 0..window.batch {
            for y in 0..window.out_h {
                let pixel = Pixel { batch, y, x: 0 };
                let mut rows = [-1; ROWS];
                for (kernel_y, row) in rows.iter_mut().enumerate() {
                    if let Some(y) = window.row(pixel, kernel_y) {
                        *row = window.at(batch, y, 0) as isize;
                    }
                }
                let first = (batch * window.out_h + y) * window.out_w;
                for x in (0..window.out_w).step_by(WINDOWS) {
                    let x = x.min(window.out_w - WINDOWS);
                    let column = (x * V) as isize - window.pad_left as isize;
                    let place = Place {
                        rows,
                        at: column * window.in_c as isize,
                        pixel: first + x,
                    };
                    self.tile::<V, KIND>(input, &place, &mut starts, output);
                }
            }
        }
    }

    /// Sixteen windows.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
    fn tile<const V: usize, const KIND: u32>(
        &self,
        input: &[u8],
        place: &Place,
        starts: &mut Starts<N>,
        output: &mut [u8],
    ) {
        let rows = self.rows::<V>(input, place);
        let places = const { &Places::new(V) };
        if self.outliers[0].is_some() {
            // The rows get an address here alone: elsewhere they stay in registers.
            let [a, b, c] = rows;
            self.add_outliers(&[a, b, c], starts);
        }
        let operands = operands(rows, places);
        // The compiler isn't to know that weights are the same each time, or it would make vectors of all of
        // them before, in memory.
        let parts = black_box(self.parts);
        let mut halves = [[_mm512_setzero_si512(); 2]; N];
        for (index, half) in halves.iter_mut().enumerate() {
            let part = &parts[index];
            let [a, b, c, d, e, f, g, h] = part.sums(operands, &starts[index]);
            let packed = |first, sums| {
                let ramps = core::array::from_fn(|lane| part.ramp(first + lane));
                clamped_4x16::<KIND>(&self.finish, ramps.each_ref(), sums)
            };
            *half = in_windows([packed(0, [a, b, c, d]), packed(4, [e, f, g, h])]);
        }
        self.store(halves, place.pixel, output);
    }

    /// The rows of sixteen windows, as unsigned bytes.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
    fn rows<const V: usize>(&self, input: &[u8], place: &Place) -> Rows<V> {
        let size = self.conv.window.in_w * self.conv.window.in_c;
        let is_inside = place.at >= 0 && place.at as usize + 64 * V <= size;
        if !is_inside || place.rows.iter().any(|&start| start < 0) {
            return self.rows_at_an_edge(input, place);
        }
        let flip = _mm512_set1_epi8(self.conv.byte.flip() as i8);
        let mut rows = [[flip; V]; ROWS];
        for (row, start) in rows.iter_mut().zip(&place.rows) {
            let bytes = &input[(start + place.at) as usize..][..64 * V];
            for (vector, bytes) in row.iter_mut().zip(bytes.as_chunks().0) {
                *vector = _mm512_xor_si512(load(bytes), flip);
            }
        }
        rows
    }

    /// As [`Self::rows`], where some of the vectors are not within a row.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
    fn rows_at_an_edge<const V: usize>(&self, input: &[u8], place: &Place) -> Rows<V> {
        let conv = self.conv;
        let size = (conv.window.in_w * conv.window.in_c) as isize;
        let flip = _mm512_set1_epi8(conv.byte.flip() as i8);
        let padding = _mm512_set1_epi8((conv.input_zero_point as u8 ^ conv.byte.flip()) as i8);
        let mut rows = [[padding; V]; ROWS];
        for vector in 0..V {
            let at = place.at + 64 * vector as isize;
            let lanes = (-at).clamp(0, 64) as usize..(size - at).clamp(0, 64) as usize;
            let are_there = mask(&lanes);
            // What is not in the row is cleared, and then padding; what is becomes unsigned.
            let others = _mm512_ternarylogic_epi32::<0xca>(are_there, flip, padding);
            for (row, &start) in rows.iter_mut().zip(&place.rows) {
                if start >= 0 {
                    let bytes = match chunk(input, start + at) {
                        Some(bytes) => load(bytes),
                        None => few(input, start + at, &lanes),
                    };
                    row[vector] = _mm512_ternarylogic_epi32::<0x78>(others, bytes, are_there);
                }
            }
        }
        rows
    }

    /// Has the sums of the channels that have outliers begin with those.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
    fn add_outliers<const V: usize>(&self, rows: &Rows<V>, starts: &mut Starts<N>) {
        let starts = starts.as_flattened_mut();
        let outliers = || self.outliers.iter().map_while(Option::as_ref);
        for outlier in outliers() {
            starts[outlier.channel] = outlier.bias;
        }
        for outlier in outliers() {
            let taps = picked(rows[outlier.kernel_y], outlier.places);
            let start = &mut starts[outlier.channel];
            *start = _mm512_dpbusd_epi32(*start, taps, outlier.weights);
        }
    }

    /// Stores the bytes of sixteen windows from `pixel` on, eight in each vector of a part.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
    fn store(&self, parts: [[__m512i; 2]; N], pixel: usize, output: &mut [u8]) {
        let channels = self.conv.window.out_c;
        let output = &mut output[pixel * channels..][..WINDOWS * channels];
        if N == 1 {
            for (output, bytes) in output.chunks_exact_mut(64).zip(parts[0]) {
                store_64(output, bytes);
            }
            return;
        }
        let vectors = each_half(parts[0], parts[N - 1]);
        for (output, bytes) in output.chunks_exact_mut(64).zip(vectors) {
            store_64(output, bytes);
        }
    }
}

impl Channels {
    /// Fills those from `channel` on, of zeros, where they are.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
    fn fill(&mut self, weights: &[[u8; 64]], table: &ChannelTable<'_>, channel: usize) {
        let block = &weights[channel / LANES * ROWS * PACKED..][..ROWS * PACKED];
        let first = channel % LANES;
        for (index, packed) in block.iter().enumerate() {
            let (kernel_y, group) = (index / PACKED, index % PACKED);
            let lanes = packed.as_chunks::<4>().0[first..].iter();
            for (lane, &taps) in (0..CHANNELS).zip(lanes) {
                if group < PACKED - 1 {
                    self.weights[2 * kernel_y + group][lane] = i32::from_le_bytes(taps);
                } else {
                    self.weights[GROUPS - 1][lane] |= i32::from(taps[0]) << (8 * kernel_y);
                }
            }
        }
        for (lane, bias) in self.bias.iter_mut().enumerate() {
            *bias = table.bias(channel + lane);
        }
        let Some(ramps) = &table.ramps else { return };
        let arrays = [
            Some(ramps.slope),
            Some(ramps.start),
            ramps.start_below,
            ramps.rest,
        ];
        for (words, array) in self.ramps.iter_mut().zip(arrays) {
            let array: Words<'_> = array.unwrap_or_default();
            for (word, &bytes) in words.iter_mut().zip(array.iter().skip(channel)) {
                *word = i32::from_le_bytes(bytes);
            }
        }
    }

    /// That of a channel, in all lanes.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
    fn ramp(&self, channel: usize) -> Ramp {
        let [slope, start, start_below, rest] = self.ramps.each_ref();
        Ramp::from_words(
            _mm512_set1_epi32(slope[channel]),
            _mm512_set1_epi32(start[channel]),
            _mm512_set1_epi32(start_below[channel]),
            _mm512_set1_epi32(rest[channel]),
        )
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
    fn sums(
        &self,
        operands: [__m512i; GROUPS],
        starts: &[__m512i; CHANNELS],
    ) -> [__m512i; CHANNELS] {
        let mut sums = *starts;
        for (operand, weights) in operands.into_iter().zip(&self.weights) {
            for (sum, &weights) in sums.iter_mut().zip(weights) {
                *sum = _mm512_dpbusd_epi32(*sum, operand, _mm512_set1_epi32(weights));
            }
        }
        sums
    }
}

/// Where bytes of sixteen windows are, counted from the first of the first one on.
struct Places {
    /// The first groups of four taps.
    groups: [[u8; 64]; 2],
    /// The first taps, each for all bytes of a lane.
    firsts: [u8; 64],
}

impl Places {
    /// Those of windows that are so many pixels apart.
    const fn new(stride: usize) -> Self {
        let mut places = Self {
            groups: [[0; 64]; 2],
            firsts: [0; 64],
        };
        let mut byte = 0;
        while byte < 64 {
            let first = (byte / 4 * stride * 3) as u8;
            let tap = (byte % 4) as u8;
            places.groups[0][byte] = first + tap;
            places.groups[1][byte] = first + 4 + tap;
            places.firsts[byte] = first;
            byte += 1;
        }
        places
    }
}

/// The vector's bytes that begin at a place of the input, unless some are before or behind it.
#[inline(always)]
fn chunk(input: &[u8], at: isize) -> Option<&[u8; 64]> {
    input.get(usize::try_from(at).ok()?..)?.first_chunk()
}

/// As [`chunk`], of which some bytes are on the input and the others don't matter.
#[cold]
#[inline(never)]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
fn few(input: &[u8], at: isize, lanes: &Range<usize>) -> __m512i {
    let mut bytes = [0; 64];
    for lane in lanes.clone() {
        bytes[lane] = input[(at + lane as isize) as usize];
    }
    load(&bytes)
}

/// All bits of some lanes' bytes. From memory: of a mask the compiler would make that of a load, which takes many times
/// longer.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
fn mask(lanes: &Range<usize>) -> __m512i {
    static EDGES: [u8; 192] = {
        let mut edges = [0; 192];
        let mut lane = 64;
        while lane < 128 {
            edges[lane] = 0xff;
            lane += 1;
        }
        edges
    };
    match (
        chunk(&EDGES, 64 - lanes.start as isize),
        chunk(&EDGES, 128 - lanes.end as isize),
    ) {
        (Some(from), Some(to)) => _mm512_and_si512(load(from), load(to)),
        _ => _mm512_setzero_si512(),
    }
}

/// What all channels multiply: four taps of each window.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
fn operands<const V: usize>(rows: Rows<V>, places: &Places) -> [__m512i; GROUPS] {
    let mut operands = [_mm512_setzero_si512(); GROUPS];
    let last = _mm512_add_epi8(load(&places.firsts), _mm512_set1_epi8(TAPS as i8 - 1));
    for (kernel_y, row) in rows.into_iter().enumerate() {
        for (group, places) in places.groups.iter().enumerate() {
            operands[2 * kernel_y + group] = picked(row, load(places));
        }
        let lasts = &mut operands[GROUPS - 1];
        *lasts = _mm512_mask_mov_epi8(*lasts, byte_of_lanes(kernel_y), picked(row, last));
    }
    operands
}

/// A byte of every lane, as a mask.
#[inline(always)]
fn byte_of_lanes(byte: usize) -> __mmask64 {
    0x1111_1111_1111_1111 << byte
}

/// The bytes of a row at some places.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
fn picked<const V: usize>(row: [__m512i; V], places: __m512i) -> __m512i {
    if V == 1 {
        _mm512_permutexvar_epi8(places, row[0])
    } else {
        _mm512_permutex2var_epi8(row[0], places, row[V - 1])
    }
}

/// The bytes of eight channels of sixteen windows, window after window, of two times four channels in the order of packing.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
fn in_windows([low, high]: [__m512i; 2]) -> [__m512i; 2] {
    /// Where each byte of the first eight windows was packed, and then of the others.
    const ORDER: [[u8; 64]; 2] = {
        let mut order = [[0; 64]; 2];
        let mut index = 0;
        while index < 2 * 64 {
            let (window, channel) = (index / CHANNELS, index % CHANNELS);
            let packed = window / 4 * 16 + channel % 4 * 4 + window % 4;
            order[index / 64][index % 64] = (channel / 4 * 64 + packed) as u8;
            index += 1;
        }
        order
    };
    let [first, second] = const { &ORDER };
    [
        _mm512_permutex2var_epi8(low, load(first), high),
        _mm512_permutex2var_epi8(low, load(second), high),
    ]
}

/// Each half of sixteen windows' bytes from one of two parts.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
fn each_half([a0, a1]: [__m512i; 2], [b0, b1]: [__m512i; 2]) -> [__m512i; 4] {
    let first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    let second = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    [
        _mm512_permutex2var_epi64(a0, first, b0),
        _mm512_permutex2var_epi64(a0, second, b0),
        _mm512_permutex2var_epi64(a1, first, b1),
        _mm512_permutex2var_epi64(a1, second, b1),
    ]
}
