//! The tests are in `tests/async`; a package has to have something beside them.
