//! Recorded runs, of which there are only files: the first culprit is that of the runner pair.

use concord_lab::explain::Explanation;

use crate::ask::{Made, Sides, explained};

fn first(explanation: &Explanation) -> String {
    let encoder = explanation.encoder.as_ref().unwrap();
    match &encoder.forced {
        Some(forced) => forced.culprits[0].module.clone(),
        None => encoder.departures.as_ref().unwrap()[0].module.clone(),
    }
}

#[test]
fn recorded_runs_have_the_first_culprit_of_the_live_pair() {
    for word in [
        "native,gelu=tanh",
        "native,bert.encoder.layer.1.attention.output.dense:gemm=chunk:7",
        "native,layer_norm=one-pass",
        "native,normalize=rsqrt",
        "native,batch=16,bert.encoder.layer.1.output.dense:gemm=split-k:3@220",
    ] {
        let (a, b) = (Made::by("native"), Made::by(word));
        let runner = explained(&a, &b, Sides::Runner);
        let recorded = explained(&a, &b, Sides::Recorded);
        assert_eq!(first(&runner), first(&recorded), "{word}");
        assert_eq!(runner.culprits(), recorded.culprits(), "{word}");
        assert!(recorded.encoder.unwrap().forced.is_none());
        assert!(!recorded.not_tested.is_empty(), "{word}");
    }
}

#[test]
fn what_recorded_runs_hide_after_the_encoder_is_said_to_be_untested() {
    let (a, b) = (Made::by("native"), Made::by("native,gelu=tanh"));
    let explanation = explained(&a, &b, Sides::Recorded);
    assert_eq!(explanation.culprits(), ["batches"]);
    let untested = explanation.not_tested.join("\n");
    for said in [
        "not run on the other side's inputs",
        "whether it agrees with itself",
    ] {
        assert!(untested.contains(said), "{untested}");
    }
}
