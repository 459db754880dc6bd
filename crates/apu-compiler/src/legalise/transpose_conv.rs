//! TRANSPOSE_CONV: the input spread out, with zeros between its pixels, then an ordinary convolution
//! with the filter turned round.

use apu_proto::program::Window;

use super::{
    Operand, Record, convolution, quantisation,
    strided::{self, Transfer, Walk, copy},
};
use crate::{
    constants,
    constraints::{self, ARGUMENTS, Refusal, Site},
    graph::{Element, Opcode, Operator, Options, Padding, Sliding, Tensor},
    window::Side,
};

pub(super) fn transpose_conv(site: &Site) -> Result<Vec<Record>, Refusal> {
    let Options::TransposeConv {
        sliding,
        activation,
    } = site.operator.options
    else {
        return Err(ARGUMENTS.refuse("no attributes"));
    };
    // The convolution that remains.
    let conv = Operator {
        opcode: Opcode::CONV_2D,
        inputs: [2, 1, 3]
            .map(|i| site.operator.inputs.get(i).copied().flatten())
            .into(),
        options: Options::Conv2d {
            sliding: Sliding {
                padding: Padding::Valid,
                stride: [1, 1],
                dilation: [1, 1],
            },
            activation,
        },
        ..site.operator.clone()
    };
    let conv = Site {
        operator: &conv,
        ..*site
    };
    constraints::check_weights(&conv)?;
    check_shape(site)?;
    let spread = Spread::new(site, &sliding)?;
    let (mut records, input) = spread.records(&conv)?;
    records.push(convolution::turned(
        &conv,
        input,
        spread.window(),
        convolution::rounding(site),
    )?);
    Ok(records)
}

/// The shape that the first input says must be the output's.
fn check_shape(site: &Site) -> Result<(), Refusal> {
    let (wanted, output) = (site.need_input(0)?, site.need_output()?);
    let said = constants::integers(wanted).filter(|_| wanted.element == Element::INT32);
    let same = |said: Vec<i64>| {
        said.into_iter()
            .eq(output.shape.iter().map(|&n| i64::from(n)))
    };
    match said.is_some_and(same) {
        true => Ok(()),
        false => Err(ARGUMENTS.refuse(format!(
            "{} {}, which doesn't say {:?}",
            wanted.element.name(),
            wanted.label(),
            output.shape
        ))),
    }
}

/// The input as the convolution sees it.
struct Spread<'a> {
    input: &'a Tensor<'a>,
    output: [u32; 3],
    stride: [u32; 2],
    /// Height and width with the zeros.
    size: [u32; 2],
    kernel: [u32; 2],
    /// Rows above and columns to the left.
    before: [u32; 2],
}

impl<'a> Spread<'a> {
    fn new(site: &Site<'a>, sliding: &Sliding) -> Result<Self, Refusal> {
        let (input, weights, output) = (
            site.need_input(2)?,
            site.need_input(1)?,
            site.need_output()?,
        );
        let refuse = || {
            ARGUMENTS.refuse(format!(
                "{:?} by {:?} to {:?}",
                input.shape, weights.shape, output.shape
            ))
        };
        let (
            &[batch, h, w, _],
            &[filters, kernel_h, kernel_w, _],
            &[out_batch, out_h, out_w, out_c],
        ) = (
            input.shape.as_slice(),
            weights.shape.as_slice(),
            output.shape.as_slice(),
        )
        else {
            return Err(refuse());
        };
        if batch != out_batch || filters != out_c || sliding.stride.iter().any(|&step| step <= 0) {
            return Err(refuse());
        }
        let side = |axis: usize, input: u32, kernel: u32, output: u32| {
            // The convolution whose transpose this is goes from the output to the input.
            let side =
                Side::new(sliding, axis, output, kernel).filter(|side| side.output == input)?;
            let stride = sliding.stride[axis].unsigned_abs();
            let before = (kernel - 1).checked_sub(side.before)?;
            let spread = (input - 1).checked_mul(stride)?.checked_add(1)?;
            // No window may lie behind the last pixel.
            Some((stride, spread.max(output.saturating_sub(before)), before))
        };
        let (stride_h, size_h, top) = side(0, h, kernel_h, out_h).ok_or_else(refuse)?;
        let (stride_w, size_w, left) = side(1, w, kernel_w, out_w).ok_or_else(refuse)?;
        Ok(Self {
            input,
            output: [out_h, out_w, out_c],
            stride: [stride_h, stride_w],
            size: [size_h, size_w],
            kernel: [kernel_h, kernel_w],
            before: [top, left],
        })
    }

    /// What spreads the input out, and where it is then.
    fn records(&self, conv: &Site) -> Result<(Vec<Record>, Operand), Refusal> {
        let [batch, h, w, channels] = [0, 1, 2, 3].map(|dim| self.input.shape[dim]);
        if self.size == [h, w] {
            return Ok((Vec::new(), Operand::Read(conv.input_id(0)?)));
        }
        let shape = [batch, self.size[0], self.size[1], channels];
        let size: u64 = shape.iter().map(|&n| u64::from(n)).product();
        let element = self.input.element.dtype().map_or(1, |dtype| dtype.size());
        let temporary = || Operand::Temporary {
            index: 0,
            size: size * element as u64,
        };
        let to = || strided::Side {
            operand: temporary(),
            count: size,
        };
        let zero_point = quantisation(self.input)?.1.to_le_bytes();
        let fill = Transfer::filled(&shape);
        let mut spread = Walk::whole(&shape);
        spread.stride[1] *= i64::from(self.stride[0]);
        spread.stride[2] *= i64::from(self.stride[1]);
        let pixels = Transfer {
            shape: self.input.shape.clone(),
            input: Walk::whole(&self.input.shape),
            output: spread,
        };
        let records = vec![
            copy(
                conv,
                self.input,
                strided::Side::element(&zero_point[..element]),
                to(),
                fill,
            )?,
            copy(
                conv,
                self.input,
                strided::Side::input(conv, 0)?,
                to(),
                pixels,
            )?,
        ];
        Ok((records, temporary()))
    }

    fn window(&self) -> Window {
        Window {
            batch: self.input.shape[0],
            in_h: self.size[0],
            in_w: self.size[1],
            in_c: self.input.shape[3],
            out_h: self.output[0],
            out_w: self.output[1],
            out_c: self.output[2],
            kernel_h: self.kernel[0],
            kernel_w: self.kernel[1],
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: self.before[0],
            pad_left: self.before[1],
        }
    }
}
