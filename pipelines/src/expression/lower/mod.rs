//! From the registry's tree to the lowered one. Called by `Program::compile`; refuses
//! what the registry's checker should have refused already, by name.

mod tree; // names, `case`, and the way down the tree
mod operators; // `+`, `=`, `and` ...
mod membership; // `in`
mod functions; // `abs`, `coalesce`, `vader` ...
mod types; // one type for operands that differ

pub(super) use membership::membership;
pub(super) use tree::Lowering;
pub(super) use types::plain;
