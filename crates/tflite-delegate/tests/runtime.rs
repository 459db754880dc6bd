//! A delegate under a runtime that is only as large as the interface: everything a delegate calls
//! is there, nothing is computed.
#![allow(missing_docs, clippy::unwrap_used)]

mod mock;

use std::ffi::CStr;

use mock::{Runtime, messages};
use tflite_delegate::{
    Delegate, Element, Error, Graph, Kernel, Placed, Tensors, create, destroy, params, sys,
};

/// Takes all nodes and copies the first tensor to the last; fails and panics as its option asks.
struct Copy(String);

struct CopyKernel(String);

impl Delegate for Copy {
    const NAME: &CStr = c"copy";
    type Kernel = CopyKernel;

    fn new(options: &[(&str, &str)]) -> Result<Self, Error> {
        match options {
            [("fault", "new")] => Err("no new one".into()),
            [("fault", "panic in new")] => panic!("what now"),
            [("fault", fault)] => Ok(Self((*fault).into())),
            _ => Ok(Self(String::new())),
        }
    }

    fn place(&self, graph: &Graph) -> Result<Vec<Placed<CopyKernel>>, Error> {
        match self.0.as_str() {
            "place" => return Err("no place".into()),
            "panic in place" => panic!("what now"),
            "nothing" => return Ok(Vec::new()),
            _ => {}
        }
        let partitions = graph.partition(graph.plan())?;
        let kernel = |_: &_| CopyKernel(self.0.clone());
        Ok(partitions
            .into_iter()
            .map(|p| (p.clone(), kernel(&p)))
            .collect())
    }
}

impl Kernel for CopyKernel {
    fn prepare(&mut self, _: &mut Tensors) -> Result<(), Error> {
        match self.0.as_str() {
            "prepare" => Err("not prepared".into()),
            _ => Ok(()),
        }
    }

    fn invoke(&mut self, tensors: &mut Tensors) -> Result<(), Error> {
        match self.0.as_str() {
            "invoke" => return Err("no answer".into()),
            "panic in invoke" => panic!("what now"),
            _ => {}
        }
        let last = tensors.count() - 1;
        let from = tensors.get(0).unwrap().bytes().unwrap().to_vec();
        tensors.bytes_mut(last).unwrap().copy_from_slice(&from);
        Ok(())
    }
}

/// Applies a delegate with a fault to a graph of two nodes and runs it.
fn run(fault: &str) -> (Vec<sys::Status>, Vec<u8>, Vec<String>) {
    let mut runtime = Runtime::two_nodes();
    let statuses = runtime.apply_and_run::<Copy>(&[("fault", fault)]);
    (statuses, runtime.bytes(2), messages())
}

#[test]
fn a_graph_is_placed_prepared_and_run() {
    assert_eq!(run(""), (vec![0, 0, 0], vec![1, 2, 3, 4], vec![]));
}

#[test]
fn what_is_not_placed_is_left_alone() {
    assert_eq!(run("nothing"), (vec![0], vec![0; 4], vec![]));
}

#[test]
fn every_failure_has_a_status_and_a_reason() {
    let failed = |statuses: &[sys::Status], reason: &str| {
        (statuses.to_vec(), vec![0; 4], vec![reason.to_owned()])
    };
    assert_eq!(run("place"), failed(&[1], "no place"));
    assert_eq!(run("prepare"), failed(&[0, 1], "not prepared"));
    assert_eq!(run("invoke"), failed(&[0, 0, 1], "no answer"));
}

#[test]
fn a_panic_is_an_error_and_stays_inside() {
    let reason = "the delegate has a bug, it panicked: what now".to_owned();
    assert_eq!(
        run("panic in place"),
        (vec![1], vec![0; 4], vec![reason.clone()])
    );
    assert_eq!(
        run("panic in invoke"),
        (vec![0, 0, 1], vec![0; 4], vec![reason])
    );
}

#[test]
fn a_loader_that_listens_hears_why_there_is_no_delegate() {
    let refused = |fault| mock::refusal::<Copy>(&[("fault", fault)]);
    assert_eq!(refused("new"), ["no new one"]);
    assert_eq!(
        refused("panic in new"),
        ["the delegate has a bug, it panicked: what now"]
    );
}

#[test]
fn null_in_place_of_options_is_refused() {
    // SAFETY: NULL is refused before it is read.
    let made = unsafe { create::<Copy>(std::ptr::null(), std::ptr::null(), 2, None) };
    assert!(made.is_null());
    // SAFETY: NULL is no delegate.
    unsafe { destroy::<Copy>(made) };
}

#[test]
fn a_graph_can_be_looked_at() {
    let runtime = Runtime::two_nodes();
    runtime.look(|graph| {
        assert_eq!(graph.plan(), [0, 1]);
        let node = graph.node(1).unwrap();
        assert_eq!((node.operator(), node.version()), (0, 1));
        assert_eq!(node.inputs().collect::<Vec<_>>(), [Some(1), None]);
        assert_eq!(node.outputs().collect::<Vec<_>>(), [2]);
        assert!(graph.node(2).is_err());
        let tensor = graph.tensors().get(1).unwrap();
        assert_eq!(
            (tensor.name().as_ref(), tensor.shape()),
            ("t1", &[1, 4][..])
        );
        assert_eq!(tensor.element(), Element(9));
        assert_eq!(tensor.quantization(), Some((&[0.5][..], &[-3][..], 0)));
        assert!(tensor.constant().is_none() && !tensor.is_variable() && !tensor.is_sparse());
        assert!(graph.tensors().get(3).is_none());
    });
}

#[test]
fn null_in_a_graph_is_nothing() {
    let runtime = Runtime::two_nodes().strip();
    runtime.look(|graph| {
        let node = graph.node(1).unwrap();
        assert_eq!((node.inputs().count(), node.outputs().count()), (0, 0));
        assert!(node.params::<params::Sum>().is_none() && node.custom_name().is_none());
        let tensor = graph.tensors().get(1).unwrap();
        assert_eq!((tensor.name().as_ref(), tensor.shape()), ("", &[][..]));
        assert!(tensor.bytes().is_none() && tensor.quantization().is_none());
    });
}
