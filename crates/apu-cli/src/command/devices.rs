//! `apu devices`: what there is to run on.

use apu::{Device, DeviceInfo, DeviceState};
use serde::Serialize;

use crate::args::Devices;
use crate::error::Error;
use crate::table;

#[derive(Serialize)]
struct Row {
    device: String,
    /// "online", "lost", or why it can't be used.
    state: String,
    driver: Option<String>,
    target: Option<String>,
    cores: Option<u32>,
    isa: Option<String>,
}

pub fn run(args: &Devices) -> Result<(), Error> {
    let rows: Vec<Row> = Device::names().into_iter().map(row).collect();
    if args.json {
        return super::print_json(&rows);
    }
    let mut table = table::new(["device", "state", "driver", "target", "cores", "isa"]);
    for row in rows {
        let cores = row.cores.map(|cores| cores.to_string());
        let cells = [row.driver, row.target, cores, row.isa].map(Option::unwrap_or_default);
        table.add_row([row.device, row.state].into_iter().chain(cells));
    }
    table::print(&table)
}

fn row(name: String) -> Row {
    match Device::open(&name).and_then(|device| device.info()) {
        Ok(info) => known(name, info),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            let state = format!("{error}{}", cause.unwrap_or_default());
            Row {
                device: name,
                state,
                driver: None,
                target: None,
                cores: None,
                isa: None,
            }
        }
    }
}

fn known(device: String, info: DeviceInfo) -> Row {
    let online = info.state == DeviceState::Online;
    Row {
        device,
        state: if online {
            "online"
        } else {
            "lost: no firmware answers"
        }
        .into(),
        driver: Some(info.driver),
        target: online.then_some(info.target),
        cores: online.then_some(info.core_count),
        isa: info.isa,
    }
}
