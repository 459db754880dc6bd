//! The layers of MobileNetV2 1.0 224, each shape once, with every instruction set.

fn main() {
    divan::main();
}
