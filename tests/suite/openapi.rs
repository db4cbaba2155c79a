//! `/openapi.json` against the server, by Schemathesis: whatever is sent, no answer is a failure of
//! the server, and each is one that the document describes.

use std::process::Command;

use crate::support::{Home, python};

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";

#[test]
fn every_answer_is_one_that_the_document_describes() {
    let Some(python) = python("schemathesis") else {
        return;
    };
    let home = Home::with_demo(60, 5);
    let server = home.serve();
    let document = format!("http://{}/openapi.json", server.http);
    let output = Command::new(python)
        .args([
            "-c",
            "from schemathesis.cli import schemathesis; schemathesis()",
        ])
        .args(["run", &document, "--checks", CHECKS, "--seed", "1"])
        .args(["--max-examples", "20", "--continue-on-failure"])
        // Bodies that are lists of anything are hard to draw, which is no fault of theirs.
        .args(["--suppress-health-check", "filter_too_much"])
        .current_dir(home.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("Selected: 24/24"),
        "every resource is asked: {said}"
    );
}
