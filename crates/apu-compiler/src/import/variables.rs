//! Resource variables: what VAR_HANDLE names, READ_VARIABLE and ASSIGN_VARIABLE use, and a subgraph that
//! CALL_ONCE names fills before the first run.
//!
//! A variable becomes a tensor that keeps its value, in the place of its handle.

use std::collections::{BTreeMap, HashMap};

use super::{each, import_operator, import_tensor};
use crate::{
    graph::{Opcode, Operator, Options, Tensor, TensorId},
    schema::{self, OperatorOptions},
};

/// Container and name.
type Name<'m> = (&'m str, &'m str);

/// Gives the operators that use variables, as far as these are understood, their tensors and
/// [`Options::Variable`].
pub(super) fn resolve<'m>(
    model: schema::Model<'m>,
    main: schema::SubGraph<'m>,
    tensors: &mut Vec<Tensor<'m>>,
    operators: &mut [Operator],
) {
    let mut names: HashMap<TensorId, Name> = HashMap::new();
    let mut variables: HashMap<Name, (TensorId, u8)> = HashMap::new();
    for (operator, table) in operators.iter_mut().zip(each(main.operators())) {
        match (operator.opcode, table.options()) {
            (Opcode::CALL_ONCE, Some(OperatorOptions::CallOnce(options))) => {
                let index = usize::try_from(options.init_subgraph_index()).ok();
                let initial = index
                    .and_then(|index| each(model.subgraphs()).nth(index))
                    .and_then(|subgraph| initial(model, subgraph));
                // What is filled twice begins as the one or the other.
                let fresh = |initial: &BTreeMap<Name, _>| {
                    !initial.keys().any(|name| variables.contains_key(name))
                };
                let Some(initial) = initial.filter(fresh) else {
                    continue;
                };
                for (name, (variable, byte)) in initial {
                    variables.insert(name, (tensors.len(), byte));
                    tensors.push(variable);
                }
                operator.options = Options::Variable { initial: 0 };
            }
            (Opcode::VAR_HANDLE, options) => {
                names.extend(handle(operator, options));
                operator.options = Options::Variable { initial: 0 };
            }
            (Opcode::READ_VARIABLE | Opcode::ASSIGN_VARIABLE, _) => {
                let Some(Some(input)) = operator.inputs.first_mut() else {
                    continue;
                };
                let variable = names.get(input).and_then(|name| variables.get(name));
                if let Some(&(tensor, initial)) = variable {
                    *input = tensor;
                    operator.options = Options::Variable { initial };
                }
            }
            _ => {}
        }
    }
}

/// The handle that an operator makes, and what it is the handle of.
fn handle<'m>(
    operator: &Operator,
    options: Option<OperatorOptions<'m>>,
) -> Option<(TensorId, Name<'m>)> {
    let Some(OperatorOptions::VarHandle(options)) = options else {
        return None;
    };
    let name = (
        options.container().unwrap_or_default(),
        options.shared_name().unwrap_or_default(),
    );
    Some((*operator.outputs.first()?, name))
}

/// The variables that a subgraph fills, if that is all it does, each with constant bytes that are all
/// the same.
fn initial<'m>(
    model: schema::Model<'m>,
    subgraph: schema::SubGraph<'m>,
) -> Option<BTreeMap<Name<'m>, (Tensor<'m>, u8)>> {
    let tensors = each(subgraph.tensors()).enumerate();
    let tensors = tensors.map(|(id, tensor)| import_tensor(id, tensor, model.buffers()).ok());
    let tensors: Vec<Tensor> = tensors.collect::<Option<_>>()?;
    let mut names = HashMap::new();
    let mut filled = BTreeMap::new();
    for (index, table) in each(subgraph.operators()).enumerate() {
        let operator = import_operator(index, table, model.operator_codes(), tensors.len()).ok()?;
        match (operator.opcode, operator.inputs.as_slice()) {
            (Opcode::VAR_HANDLE, _) => names.extend(handle(&operator, table.options())),
            (Opcode::ASSIGN_VARIABLE, &[Some(handle), Some(value)]) => {
                let (value, data) = (&tensors[value], tensors[value].elements()?);
                let byte = *data.first()?;
                let name = *names.get(&handle)?;
                let variable = Tensor {
                    name: name.1.into(),
                    data: None,
                    variable: true,
                    ..value.clone()
                };
                if data.iter().any(|&other| other != byte) {
                    return None;
                }
                filled.insert(name, (variable, byte));
            }
            _ => return None,
        }
    }
    Some(filled)
}
