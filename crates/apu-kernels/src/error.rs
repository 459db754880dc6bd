//! What can be wrong with an operator.

/// Why an operator can't run. Names of fields and operands are those of
/// [`apu_proto::program`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A parameter is outside its range.
    #[error("{field} is {got}, allowed is {min} to {max}")]
    Field {
        /// Name of the parameter.
        field: &'static str,
        /// Its value.
        got: i64,
        /// Least allowed value.
        min: i64,
        /// Largest allowed value.
        max: i64,
    },
    /// A parameter contradicts another one.
    #[error("{field} is {got}, but {other} asks for {needed}")]
    Contradiction {
        /// Name of the parameter.
        field: &'static str,
        /// Its value.
        got: i64,
        /// What it contradicts.
        other: &'static str,
        /// The value that would fit.
        needed: i64,
    },
    /// An element type that the operator can't take there.
    #[error("{field} is type number {got}, allowed is {allowed}")]
    Type {
        /// Name of the parameter.
        field: &'static str,
        /// Its value.
        got: u32,
        /// The types that would be accepted.
        allowed: &'static str,
    },
    /// The parameters describe an operand larger than a program may hold.
    #[error("{operand} would be larger than {max} bytes")]
    TooLarge {
        /// Name of the operand.
        operand: &'static str,
        /// The most bytes an operand can have.
        max: u32,
    },
    /// An index that is computed in the run points outside its dimension.
    #[error("index {got} is outside a dimension of {size}")]
    Index {
        /// The index.
        got: i64,
        /// Size of the dimension.
        size: u32,
    },
    /// An operand has another size than the parameters say.
    #[error("{operand} has {got} bytes, the parameters ask for {needed}")]
    Operand {
        /// Name of the operand.
        operand: &'static str,
        /// Its size in bytes.
        got: usize,
        /// The size that follows from the parameters.
        needed: u32,
    },
}
