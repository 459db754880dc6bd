//! The custom operator TFLite_Detection_PostProcess: attributes in a flexbuffer, and outputs whose shapes
//! the file leaves open.

use super::flexmap::FlexMap;
use crate::graph::{Detection, Opcode, Operator, Options, Tensor};

/// What a custom operator of this name is, and its attributes, none if one that is needed is missing or
/// has another type. `None` if the compiler knows no operator of this name.
pub fn custom_operator(name: &str, attributes: &[u8]) -> Option<(Opcode, Options)> {
    (name == "TFLite_Detection_PostProcess").then(|| {
        let options = options(attributes).unwrap_or(Options::None);
        (Opcode::DETECTION_POSTPROCESS, options)
    })
}

fn options(flexbuffer: &[u8]) -> Option<Options> {
    let map = FlexMap::root(flexbuffer)?;
    let real = |key| Some(map.number(key)? as f32);
    Some(Options::Detection(Detection {
        max_detections: count(&map, "max_detections")?,
        classes_per_detection: count(&map, "max_classes_per_detection")?,
        classes: count(&map, "num_classes")?,
        regular: map.number("use_regular_nms").is_some_and(|it| it != 0.0),
        per_class: count(&map, "detections_per_class").unwrap_or(PER_CLASS),
        score_threshold: real("nms_score_threshold")?,
        overlap_threshold: real("nms_iou_threshold")?,
        scale: [
            real("y_scale")?,
            real("x_scale")?,
            real("h_scale")?,
            real("w_scale")?,
        ],
    }))
}

/// TFLite's own choice.
const PER_CLASS: u32 = 100;

fn count(map: &FlexMap, key: &str) -> Option<u32> {
    let number = map.number(key)?;
    (0.0..=f64::from(u32::MAX))
        .contains(&number)
        .then_some(number as u32)
}

/// Gives the outputs their shapes where the file has none.
pub(super) fn complete(operator: &Operator, tensors: &mut [Tensor]) {
    let Options::Detection(Detection {
        max_detections: most,
        ..
    }) = operator.options
    else {
        return;
    };
    let shapes: [&[u32]; 4] = [&[1, most, 4], &[1, most], &[1, most], &[1]];
    for (&output, shape) in operator.outputs.iter().zip(shapes) {
        let tensor = &mut tensors[output];
        if tensor.shape.is_empty() && tensor.data.is_none() {
            tensor.shape = shape.into();
        }
    }
}
