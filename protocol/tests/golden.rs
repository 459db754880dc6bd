//! The bytes of every message, kept in `golden/` for readers in other languages.
//!
//! Refresh them with `GOLDEN=refresh cargo test -p apu-proto`; a difference is a new protocol version.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use apu_proto::message::{
    Cancel, Done, Fault, Header, Hello, HelloAck, MAGIC, MAP_READ_ONLY, MAX_MESSAGE, MAX_SEGMENTS,
    Map, Resume, Run, Segment, Suspend, Sync, SyncAck, Unmap, VmCreate, VmDestroy, addressing,
    kind, reject, status,
};
use std::path::Path;
use zerocopy::{Immutable, IntoBytes};

/// A whole message: header and body.
fn message(kind: u16, body: &(impl IntoBytes + Immutable)) -> Vec<u8> {
    let body = body.as_bytes();
    let header = Header {
        magic: MAGIC,
        kind,
        length: u16::try_from(size_of::<Header>() + body.len()).unwrap(),
    };
    [header.as_bytes(), body].concat()
}

/// Every kind, with a value in each field that shows where it lies.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let hello = Hello {
        version_min: 1,
        version_max: 2,
    };
    let vm_create = VmCreate {
        vm: 3,
        pad: 0,
        root: 0x9697_9899_9a9b_9000,
    };
    let vm_destroy = VmDestroy { vm: 4, pad: 0 };
    let map = Map {
        vm: 5,
        flags: MAP_READ_ONLY,
        va: 0x0607_0809_0a0b_0000,
        size: 0x0c0d_0e0f_1011_1000,
        token: 0x1213_1415_1617_1819,
    };
    let unmap = Unmap {
        vm: 0x1a1b_1c1d,
        pad: 0,
        va: 0x1e1f_2021_2223_2000,
        size: 0x2425_2627_2829_3000,
    };
    let sync = Sync {
        cookie: 0x2a2b_2c2d_2e2f_3031,
    };
    let run = Run {
        job: 0x3233_3435_3637_3839,
        vm: 0x3a3b_3c3d,
        core: 0x4041,
        priority: 0x3e3f,
        program: Segment {
            va: 0x4243_4445_4647_4849,
            size: 0x4a4b_4c4d_4e4f_5051,
        },
        segment_count: 2,
        max_cores: 0,
        queue: 0,
        segments: std::array::from_fn(|index| Segment {
            va: index as u64 * 0x1000,
            size: index as u64 + 1,
        }),
    };
    let cancel = Cancel {
        job: 0x5253_5455_5657_5859,
    };
    let hello_ack = HelloAck {
        version: 1,
        version_min: 2,
        version_max: 3,
        core_count: 4,
        va_start: 0x0001_0000,
        va_end: 0x0001_0000_0000,
        features: 0x5a5b_5c5d_5e5f_6061,
        target: *b"k4n16\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        vm_max: 0x6263_6465,
        job_max: 0x6667_6869,
        addressing: addressing::EXTERNAL,
        heartbeat_ms: 0,
    };
    let sync_ack = SyncAck {
        cookie: 0x6a6b_6c6d_6e6f_7071,
    };
    let done = Done {
        job: 0x7273_7475_7677_7879,
        status: status::REJECTED,
        detail: reject::ALIAS,
        op: 0x7a7b_7c7d,
        pad: 0,
        address: 0x7e7f_8081_8283_8485,
        start_ns: 0x8687_8889_8a8b_8c8d,
        end_ns: 0x8e8f_9091_9293_9495,
        cycles: 0x9e9f_a0a1_a2a3_a4a5,
    };
    let fault = Fault {
        status: status::DEVICE_ERROR,
        kind: kind::MAP.into(),
    };
    vec![
        ("hello", message(kind::HELLO, &hello)),
        ("vm_create", message(kind::VM_CREATE, &vm_create)),
        ("vm_destroy", message(kind::VM_DESTROY, &vm_destroy)),
        ("map", message(kind::MAP, &map)),
        ("unmap", message(kind::UNMAP, &unmap)),
        ("sync", message(kind::SYNC, &sync)),
        ("run", message(kind::RUN, &run)),
        ("cancel", message(kind::CANCEL, &cancel)),
        ("suspend", message(kind::SUSPEND, &Suspend { pad: 0 })),
        ("resume", message(kind::RESUME, &Resume { pad: 0 })),
        ("hello_ack", message(kind::HELLO_ACK, &hello_ack)),
        ("sync_ack", message(kind::SYNC_ACK, &sync_ack)),
        ("done", message(kind::DONE, &done)),
        ("fault", message(kind::FAULT, &fault)),
    ]
}

#[test]
fn messages_have_the_bytes_they_always_had() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let refresh = std::env::var_os("GOLDEN").is_some_and(|value| value == "refresh");
    for (name, bytes) in messages() {
        let file = folder.join(name).with_extension("bin");
        if refresh {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &bytes).unwrap();
        }
        let golden = std::fs::read(&file).unwrap_or_else(|error| {
            panic!("{}: {error}; GOLDEN=refresh makes it", file.display());
        });
        assert_eq!(bytes, golden, "{name}");
    }
}

#[test]
fn every_message_fits_an_rpmsg_buffer() {
    for (name, bytes) in messages() {
        assert!(bytes.len() <= MAX_MESSAGE, "{name}");
    }
    assert_eq!(MAX_SEGMENTS, 24);
}
