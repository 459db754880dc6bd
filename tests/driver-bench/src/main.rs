//! What the driver costs, each beside a floor that is measured in the same breath.
//!
//! To be run in a guest, where times are only good as ratios; `cargo xtask bench driver` and `cargo
//! xtask bench transports` do that.
//! Two things that are compared take turns, and what counts is the median of how they compared.

mod clients;
mod floor;
mod jobs;
mod mappings;
mod priority;
mod transport;
mod turns;

use std::path::{Path, PathBuf};

use anyhow::Result;
use apu_conformance::{Bench, Node};
use clap::{Parser, Subcommand};
use serde::Serialize;

/// Measures the driver behind a node.
#[derive(Parser)]
struct Arguments {
    /// The node
    #[arg(default_value = "/dev/accel/accel0")]
    device: PathBuf,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Answers each event with one, for the floor
    Echo {
        /// Where events come from
        from: i32,
        /// Where they go
        to: i32,
    },
    /// Measures null jobs alone, which is what to take a profile of
    Jobs,
    /// Measures binds alone, likewise
    Mappings,
    /// Measures several clients with null jobs alone, likewise
    Clients {
        /// How many
        numbers: Vec<usize>,
    },
    /// Runs jobs for a while for each line on standard input
    Client(clients::Client),
    /// Loads the drivers of a transport and runs a model, again and again
    Transport {
        /// Which
        transport: transport::Transport,
        /// A .tflite file
        model: PathBuf,
    },
}

/// Everything; the names are those of `cargo xtask bench driver`.
#[derive(Serialize)]
struct Report {
    jobs: jobs::Jobs,
    priority: priority::Priority,
    clients: Vec<clients::Clients>,
    working_clients: Vec<clients::Clients>,
    mappings: mappings::Mappings,
}

fn main() -> Result<()> {
    let Arguments { device, role } = Arguments::parse();
    match role {
        Some(Role::Echo { from, to }) => floor::echo(from, to),
        Some(Role::Client(client)) => clients::run(&bench(&device)?, &client),
        Some(Role::Transport { transport, model }) => {
            print(&transport::measure(transport, &model)?)
        }
        Some(Role::Clients { numbers }) => print(&clients::measure(&device, &numbers, 0)?),
        Some(Role::Mappings) => print(&mappings::measure(&bench(&device)?, &bench(&device)?)?),
        Some(Role::Jobs) => print(&jobs::measure(&bench(&device)?)?),
        None => {
            let report = Report {
                jobs: jobs::measure(&bench(&device)?)?,
                priority: priority::measure(&bench(&device)?)?,
                clients: clients::measure(&device, &clients::NUMBERS, 0)?,
                working_clients: clients::measure(&device, &clients::NUMBERS, 1)?,
                mappings: mappings::measure(&bench(&device)?, &bench(&device)?)?,
            };
            print(&report)
        }
    }
}

fn print(report: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}

fn bench(device: &Path) -> Result<Bench> {
    Ok(Bench::new(Node::open(device)?)?)
}
