//! Telling what assigning rows to centroids took.

use concord_kernels::closest::Work;
use concord_pipeline::Call;

/// Reports how many centroids were left of each row, and of how many rows the contract's arithmetic decided.
pub(super) fn report(call: &Call<'_>, work: Work) {
    call.measured("candidates_per_row", work.left, work.rows);
    call.measured("rows_decided_by_contract", work.decided, work.rows);
}
