//! The `apu` command from outside: what it prints, where, and with which exit code.
#![allow(clippy::unwrap_used)]

mod command;

mod bad_input;
mod cache;
mod classify;
mod diff;
mod help;
mod measure;
mod models;
mod tensors;
