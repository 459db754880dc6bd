//! What a remote core does with whoever is at the other end of its socket.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use apu_kernels::Isa;
use apu_simd::Options;
use apu_simd::inject::Faults;
use apu_simd::vhost_user::serve_at;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::{env, fs, process, thread};

/// Longer than the core needs on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A driver that goes away, without a word before, leaves no process behind that waits for it.
#[test]
fn ends_when_its_driver_goes() {
    let socket = env::temp_dir().join(format!("apu-simd-{}.socket", process::id()));
    let (listening, is_listening) = channel();
    let (ended, has_ended) = channel();
    let path = socket.clone();
    thread::spawn(move || {
        let options = Options {
            cores: 1,
            isa: Isa::plain(),
            faults: Faults::default(),
        };
        let served = serve_at(&path, &options, || listening.send(()).unwrap(), || {});
        ended.send(served.map_err(|error| error.to_string()))
    });
    is_listening.recv_timeout(PATIENCE).unwrap();
    drop(UnixStream::connect(&socket).unwrap());
    let served = has_ended.recv_timeout(PATIENCE);
    let _ = fs::remove_file(socket);
    assert_eq!(served.expect("it still waits"), Ok(()));
}
