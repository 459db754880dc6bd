//! Variables that import has understood.

use super::Site;
use crate::graph::{Opcode, Options};

pub(super) fn unknown(site: &Site) -> Option<String> {
    if !matches!(site.operator.options, Options::Variable { .. }) {
        return Some(match site.operator.opcode {
            Opcode::CALL_ONCE => "a subgraph that does something else".into(),
            _ => "a variable that isn't filled so".into(),
        });
    }
    let value = match site.operator.opcode {
        Opcode::READ_VARIABLE => site.output()?,
        _ => site.input(1)?,
    };
    let variable = site.input(0)?;
    let alike = (variable.element, &variable.shape) == (value.element, &value.shape);
    (!alike || variable.element.dtype().is_none()).then(|| {
        format!(
            "{} {:?} for {} {:?}",
            value.element.name(),
            value.shape,
            variable.element.name(),
            variable.shape
        )
    })
}
