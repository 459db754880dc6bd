//! From a verified flatbuffer to a [`Graph`]: indices, shapes and data sizes are checked here,
//! once.

mod detection;
mod flexmap;
mod variables;

use std::borrow::Cow;

use flatbuffers::{Follow, Vector};

pub use detection::custom_operator;

use crate::{
    Error,
    graph::{
        Activation, Element, Graph, Opcode, Operator, Options, Padding, Quantization, Sliding,
        StridedSlice, Tensor, TensorId, check::MAX_RANK, short,
    },
    schema::{self, OperatorOptions, Tables},
};

/// Imports the main subgraph of a model.
///
/// # Errors
/// The file is no model, is damaged, or keeps data outside itself.
pub fn import(file: &[u8]) -> Result<Graph<'_>, Error> {
    let model = schema::open(file)?;
    let main = first(model.subgraphs()).ok_or(Error::Missing {
        what: "the main subgraph",
    })?;
    let mut tensors = each(main.tensors())
        .enumerate()
        .map(|(id, tensor)| import_tensor(id, tensor, model.buffers()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut operators = each(main.operators())
        .enumerate()
        .map(|(index, operator)| {
            import_operator(index, operator, model.operator_codes(), tensors.len())
        })
        .collect::<Result<Vec<_>, _>>()?;
    for operator in &operators {
        detection::complete(operator, &mut tensors);
    }
    variables::resolve(model, main, &mut tensors, &mut operators);
    let graph = Graph {
        name: main.name().unwrap_or_default().into(),
        description: model.description().unwrap_or_default().into(),
        inputs: references("the input list", main.inputs(), tensors.len())?,
        outputs: references("the output list", main.outputs(), tensors.len())?,
        tensors,
        operators,
    };
    graph.check()?;
    Ok(graph)
}

fn first<'a, T: Follow<'a, Inner = T> + 'a>(tables: Option<Tables<'a, T>>) -> Option<T> {
    each(tables).next()
}

fn each<'a, T: Follow<'a> + 'a>(
    items: Option<Vector<'a, T>>,
) -> impl Iterator<Item = T::Inner> + 'a {
    items.into_iter().flat_map(|items| items.iter())
}

fn import_tensor<'m>(
    id: TensorId,
    tensor: schema::Tensor<'m>,
    buffers: Option<Tables<'m, schema::Buffer<'m>>>,
) -> Result<Tensor<'m>, Error> {
    let mut imported = Tensor {
        name: tensor.name().unwrap_or_default().into(),
        shape: import_shape(id, tensor)?,
        element: Element(tensor.element()),
        quantization: tensor.quantization().and_then(import_quantization),
        data: None,
        sparse: tensor.sparsity().is_some(),
        variable: tensor.is_variable(),
    };
    if imported
        .count()
        .checked_mul(8)
        .is_none_or(|bytes| bytes > i64::MAX as u64)
    {
        return Err(impossible_shape(id, tensor));
    }
    if !imported.sparse {
        imported.data = import_data(id, tensor, buffers, &imported)?.map(Cow::Borrowed);
    }
    Ok(imported)
}

/// Dimensions, whose product is checked to fit.
fn import_shape(id: TensorId, tensor: schema::Tensor) -> Result<Vec<u32>, Error> {
    let shape: Result<Vec<u32>, _> = each(tensor.shape()).map(u32::try_from).collect();
    let shape = shape.ok().filter(|shape| shape.len() <= MAX_RANK);
    let shape = shape.ok_or_else(|| impossible_shape(id, tensor))?;
    shape
        .iter()
        .try_fold(1u64, |count, &d| count.checked_mul(u64::from(d)))
        .ok_or_else(|| impossible_shape(id, tensor))?;
    Ok(shape)
}

fn impossible_shape(tensor: TensorId, table: schema::Tensor) -> Error {
    Error::Shape {
        tensor,
        shape: each(table.shape()).collect(),
    }
}

fn import_quantization(table: schema::QuantizationParameters) -> Option<Quantization> {
    let quantization = Quantization {
        scales: each(table.scale()).collect(),
        zero_points: each(table.zero_point()).collect(),
        axis: table.quantized_dimension(),
    };
    // Other kinds of quantisation keep their scales in `details`; the plain ones say nothing there.
    (!quantization.scales.is_empty() && table.details_type() == 0).then_some(quantization)
}

fn import_data<'m>(
    id: TensorId,
    table: schema::Tensor<'m>,
    buffers: Option<Tables<'m, schema::Buffer<'m>>>,
    tensor: &Tensor,
) -> Result<Option<&'m [u8]>, Error> {
    let index = table.buffer() as usize;
    // Buffer 0 is the empty one by convention, and some writers leave it out.
    let Some(buffer) = buffers
        .filter(|all| index < all.len())
        .map(|all| all.get(index))
    else {
        return match index {
            0 => Ok(None),
            _ => Err(dangling(
                format!("tensor {id}"),
                "buffer",
                index as i64,
                buffers.map_or(0, |all| all.len()),
            )),
        };
    };
    // 0 and 1 are placeholders that writers use for "inside".
    if buffer.offset() > 1 || buffer.size() > 1 || table.external_buffer() != 0 {
        return Err(Error::BufferOutside { tensor: id });
    }
    let Some(data) = buffer
        .data()
        .map(|data| data.bytes())
        .filter(|data| !data.is_empty())
    else {
        return Ok(None);
    };
    match tensor.element.dtype() {
        Some(_) if tensor.bytes() != data.len() as u64 => Err(Error::DataSize {
            tensor: id,
            got: data.len(),
            needed: tensor.bytes(),
        }),
        _ => Ok(Some(data)),
    }
}

fn dangling(place: String, what: &'static str, got: i64, count: usize) -> Error {
    Error::Dangling {
        place,
        what,
        got,
        count,
    }
}

fn references(
    place: &str,
    list: Option<Vector<i32>>,
    count: usize,
) -> Result<Vec<TensorId>, Error> {
    each(list).map(|got| reference(place, got, count)).collect()
}

fn reference(place: &str, got: i32, count: usize) -> Result<TensorId, Error> {
    usize::try_from(got)
        .ok()
        .filter(|&id| id < count)
        .ok_or_else(|| dangling(place.into(), "tensor", got.into(), count))
}

fn import_operator<'m>(
    index: usize,
    table: schema::Operator<'m>,
    codes: Option<Tables<'m, schema::OperatorCode<'m>>>,
    tensors: usize,
) -> Result<Operator, Error> {
    let place = format!("operator {index}");
    let code = table.opcode_index();
    let Some(code) = codes
        .filter(|codes| (code as usize) < codes.len())
        .map(|codes| codes.get(code as usize))
    else {
        return Err(dangling(
            place,
            "operator code",
            code.into(),
            codes.map_or(0, |codes| codes.len()),
        ));
    };
    let inputs = each(table.inputs())
        .map(|id| {
            if id == -1 {
                Ok(None)
            } else {
                reference(&place, id, tensors).map(Some)
            }
        })
        .collect::<Result<_, _>>()?;
    // The byte was there first; the wider field came when it ran out.
    let builtin = Opcode(i32::from(code.deprecated_builtin_code()).max(code.builtin_code()));
    let attributes = table
        .custom_options()
        .map_or(&[][..], |bytes| bytes.bytes());
    let custom = code.custom_code().filter(|_| builtin == Opcode::CUSTOM);
    let custom = custom.and_then(|name| custom_operator(name, attributes));
    let (opcode, options) = custom.unwrap_or_else(|| {
        let options = table.options().map_or(Options::None, import_options);
        (builtin, options)
    });
    Ok(Operator {
        index,
        opcode,
        custom: code.custom_code().map(short),
        version: code.version(),
        inputs,
        outputs: references(&place, table.outputs(), tensors)?,
        intermediates: match each(table.intermediates()).all(|id| id >= 0) {
            true => references(&place, table.intermediates(), tensors)?,
            false => Vec::new(),
        },
        options,
    })
}

fn import_options(options: OperatorOptions) -> Options {
    match options {
        OperatorOptions::Conv2D(o) => Options::Conv2d {
            sliding: sliding(
                o.padding(),
                [o.stride_h(), o.stride_w()],
                [o.dilation_h(), o.dilation_w()],
            ),
            activation: Activation(o.activation()),
        },
        OperatorOptions::DepthwiseConv2D(o) => Options::DepthwiseConv2d {
            sliding: sliding(
                o.padding(),
                [o.stride_h(), o.stride_w()],
                [o.dilation_h(), o.dilation_w()],
            ),
            activation: Activation(o.activation()),
        },
        OperatorOptions::Pool2D(o) => Options::Pool2d {
            sliding: sliding(o.padding(), [o.stride_h(), o.stride_w()], [1, 1]),
            filter: [o.filter_height(), o.filter_width()],
            activation: Activation(o.activation()),
        },
        OperatorOptions::FullyConnected(o) => Options::FullyConnected {
            activation: Activation(o.activation()),
            shuffled: o.weights_format() != 0,
            keep_num_dims: o.keep_num_dims(),
        },
        OperatorOptions::Softmax(o) => Options::Softmax { beta: o.beta() },
        OperatorOptions::Add(o) | OperatorOptions::Sub(o) => Options::Sum {
            activation: Activation(o.activation()),
            shifted: o.pot_scale_int16(),
        },
        OperatorOptions::Mul(o) => fused(o.activation()),
        OperatorOptions::Div(o) => fused(o.activation()),
        OperatorOptions::L2Norm(o) => fused(o.activation()),
        OperatorOptions::Concatenation(o) => Options::Concatenation {
            axis: o.axis(),
            activation: Activation(o.activation()),
        },
        OperatorOptions::LeakyRelu(o) => Options::LeakyRelu { alpha: o.alpha() },
        OperatorOptions::Gelu(o) => Options::Gelu {
            approximate: o.approximate(),
        },
        OperatorOptions::Pack(o) => Options::Stack { axis: o.axis() },
        OperatorOptions::Unpack(o) => Options::Stack { axis: o.axis() },
        OperatorOptions::SpaceToDepth(o) => Options::Block {
            size: o.block_size(),
        },
        OperatorOptions::DepthToSpace(o) => Options::Block {
            size: o.block_size(),
        },
        OperatorOptions::Gather(o) => Options::Gather {
            axis: o.axis(),
            batch_dims: o.batch_dims(),
        },
        OperatorOptions::MirrorPad(o) => Options::MirrorPad {
            symmetric: o.mode() == 1,
        },
        OperatorOptions::ResizeBilinear(o) => Options::Resize {
            align_corners: o.align_corners(),
            half_pixel_centers: o.half_pixel_centers(),
        },
        OperatorOptions::ResizeNearestNeighbor(o) => Options::Resize {
            align_corners: o.align_corners(),
            half_pixel_centers: o.half_pixel_centers(),
        },
        OperatorOptions::StridedSlice(o) => Options::StridedSlice(StridedSlice {
            begin: o.begin_mask(),
            end: o.end_mask(),
            ellipsis: o.ellipsis_mask(),
            new_axis: o.new_axis_mask(),
            shrink_axis: o.shrink_axis_mask(),
            offset: o.offset(),
        }),
        OperatorOptions::TransposeConv(o) => Options::TransposeConv {
            sliding: sliding(o.padding(), [o.stride_h(), o.stride_w()], [1, 1]),
            activation: Activation(o.activation()),
        },
        OperatorOptions::BatchMatMul(o) => Options::BatchMatmul {
            adj_x: o.adj_x(),
            adj_y: o.adj_y(),
        },
        OperatorOptions::Svdf(o) => Options::Svdf {
            rank: o.rank(),
            activation: Activation(o.activation()),
        },
        // These say which variables; what is to be known of them is more than that.
        OperatorOptions::CallOnce(_) | OperatorOptions::VarHandle(_) => Options::None,
        OperatorOptions::Lstm(o) => Options::Lstm {
            activation: Activation(o.activation()),
            cell_clip: o.cell_clip(),
            projection_clip: o.projection_clip(),
            time_major: o.time_major(),
        },
    }
}

fn fused(activation: i8) -> Options {
    Options::Fused {
        activation: Activation(activation),
    }
}

fn sliding(padding: i8, stride: [i32; 2], dilation: [i32; 2]) -> Sliding {
    let padding = if padding == 0 {
        Padding::Same
    } else {
        Padding::Valid
    };
    Sliding {
        padding,
        stride,
        dilation,
    }
}
