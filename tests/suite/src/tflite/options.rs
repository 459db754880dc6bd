//! An operator's attributes: which table of the schema's union `BuiltinOptions` they are, and its fields.

use apu_compiler::graph::{Activation, Opcode, Operator, Options, Padding, Sliding};

use super::{Builder, Offset, slot};

/// A field of a table.
#[derive(Clone, Copy)]
enum Field {
    Byte(i8),
    Flag(bool),
    Word(i32),
    Real(f32),
}

use Field::{Byte, Flag, Real, Word};

/// Number of the table in the union, and the table; none for an operator without attributes.
pub(super) fn table(builder: &mut Builder, operator: &Operator) -> Option<(u8, Offset)> {
    let (kind, fields) = fields(operator)?;
    let table = builder.start_table();
    for (id, field) in fields {
        match field {
            Byte(value) => builder.push_slot_always(slot(id), value),
            Flag(value) => builder.push_slot_always(slot(id), value),
            Word(value) => builder.push_slot_always(slot(id), value),
            Real(value) => builder.push_slot_always(slot(id), value),
        }
    }
    Some((kind, builder.end_table(table)))
}

fn fields(operator: &Operator) -> Option<(u8, Vec<(u16, Field)>)> {
    let opcode = operator.opcode;
    let fused = |activation: Activation| Byte(activation.0);
    Some(match operator.options {
        // What is known of a variable stands in another subgraph.
        Options::None | Options::Detection(_) | Options::Variable { .. } => return None,
        Options::Conv2d {
            sliding,
            activation,
        } => {
            let mut fields = window(&sliding);
            fields.push((3, fused(activation)));
            fields.extend(dilations(4, &sliding));
            (1, fields)
        }
        Options::DepthwiseConv2d {
            sliding,
            activation,
        } => {
            let mut fields = window(&sliding);
            fields.push((4, fused(activation)));
            fields.extend(dilations(5, &sliding));
            (2, fields)
        }
        Options::Pool2d {
            sliding,
            filter: [height, width],
            activation,
        } => {
            let mut fields = window(&sliding);
            fields.extend([(3, Word(width)), (4, Word(height)), (5, fused(activation))]);
            (5, fields)
        }
        Options::TransposeConv {
            sliding,
            activation,
        } => {
            let mut fields = window(&sliding);
            fields.push((3, fused(activation)));
            (49, fields)
        }
        Options::FullyConnected {
            activation,
            shuffled,
            keep_num_dims,
        } => {
            let format = Byte(i8::from(shuffled));
            let fields = vec![
                (0, fused(activation)),
                (1, format),
                (2, Flag(keep_num_dims)),
            ];
            (8, fields)
        }
        Options::Fused { activation } => {
            let kind = match opcode {
                Opcode::L2_NORMALIZATION => 12,
                Opcode::DIV => 29,
                _ => 21,
            };
            (kind, vec![(0, fused(activation))])
        }
        Options::Sum {
            activation,
            shifted,
        } => {
            let kind = if opcode == Opcode::SUB { 28 } else { 11 };
            (kind, vec![(0, fused(activation)), (1, Flag(shifted))])
        }
        Options::Softmax { beta } => (9, vec![(0, Real(beta))]),
        Options::Concatenation { axis, activation } => {
            (10, vec![(0, Word(axis)), (1, fused(activation))])
        }
        Options::LeakyRelu { alpha } => (75, vec![(0, Real(alpha))]),
        Options::Gelu { approximate } => (116, vec![(0, Flag(approximate))]),
        Options::Stack { axis } => {
            let kind = if opcode == Opcode::PACK { 59 } else { 64 };
            (kind, vec![(1, Word(axis))])
        }
        Options::Block { size } => {
            let is_apart = opcode == Opcode::DEPTH_TO_SPACE;
            (if is_apart { 94 } else { 19 }, vec![(0, Word(size))])
        }
        Options::Gather { axis, batch_dims } => (23, vec![(0, Word(axis)), (1, Word(batch_dims))]),
        Options::MirrorPad { symmetric } => (77, vec![(0, Byte(i8::from(symmetric)))]),
        Options::Resize {
            align_corners,
            half_pixel_centers,
        } => {
            let (kind, first) = match opcode {
                Opcode::RESIZE_BILINEAR => (15, 2),
                _ => (74, 0),
            };
            let flags = [Flag(align_corners), Flag(half_pixel_centers)];
            (kind, (first..).zip(flags).collect())
        }
        Options::StridedSlice(masks) => {
            let words = [
                masks.begin,
                masks.end,
                masks.ellipsis,
                masks.new_axis,
                masks.shrink_axis,
            ];
            let mut fields: Vec<_> = (0..).zip(words.map(Word)).collect();
            fields.push((5, Flag(masks.offset)));
            (32, fields)
        }
        Options::BatchMatmul { adj_x, adj_y } => (101, vec![(0, Flag(adj_x)), (1, Flag(adj_y))]),
        Options::Svdf { rank, activation } => (6, vec![(0, Word(rank)), (1, fused(activation))]),
        Options::Lstm {
            activation,
            cell_clip,
            projection_clip,
            time_major,
        } => {
            let clips = [Real(cell_clip), Real(projection_clip)];
            let [cell, projection] = clips;
            let fields = vec![
                (0, fused(activation)),
                (1, cell),
                (2, projection),
                (3, Flag(time_major)),
            ];
            (71, fields)
        }
    })
}

fn window(sliding: &Sliding) -> Vec<(u16, Field)> {
    let [height, width] = sliding.stride;
    let padding = Byte(i8::from(sliding.padding == Padding::Valid));
    vec![(0, padding), (1, Word(width)), (2, Word(height))]
}

fn dilations(first: u16, sliding: &Sliding) -> [(u16, Field); 2] {
    let [height, width] = sliding.dilation;
    [(first, Word(width)), (first + 1, Word(height))]
}

/// The flexbuffer of a custom operator's attributes.
pub(super) fn custom(options: &Options) -> Option<Vec<u8>> {
    let Options::Detection(it) = options else {
        return None;
    };
    let mut builder = flexbuffers::Builder::default();
    let mut map = builder.start_map();
    map.push("max_detections", it.max_detections);
    map.push("max_classes_per_detection", it.classes_per_detection);
    map.push("num_classes", it.classes);
    map.push("use_regular_nms", it.regular);
    map.push("detections_per_class", it.per_class);
    map.push("nms_score_threshold", it.score_threshold);
    map.push("nms_iou_threshold", it.overlap_threshold);
    let [y, x, height, width] = it.scale;
    map.push("y_scale", y);
    map.push("x_scale", x);
    map.push("h_scale", height);
    map.push("w_scale", width);
    map.end_map();
    Some(builder.take_buffer())
}
