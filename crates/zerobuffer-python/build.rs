//! Tells the sources which interpreter they are compiled for: whether it has a GIL.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
