//! What can be run and questioned.
//!
//! A subject is something that builds an index and can be watched doing it: the [`native`] engine, in
//! any of its variants, or a recorded run. It is named by one [`word`], `native,gemm=split-k:4`. Two uses
//! are made of the native engine here: [`build`] makes an index that stays, [`record`] a run that can be
//! compared. Both evaluate the same graph; they differ in who listens and what is kept.

pub mod build;
pub mod native;
pub mod python;
pub mod rebuild;
pub mod record;
pub mod swap;
pub mod word;
