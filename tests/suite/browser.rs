//! The page in a real browser: it shows what is loaded and looks a user up.

use std::process::Command;

use crate::support::Home;

/// Chromium, if there is one. CI sets `GRANARY_REQUIRE_CLIENTS`, so that it is not left out
/// there.
fn chromium() -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| {
            Command::new(name)
                .arg("--version")
                .output()
                .is_ok_and(|out| out.status.success())
        });
    assert!(
        found.is_some() || std::env::var_os("GRANARY_REQUIRE_CLIENTS").is_none(),
        "chromium is required here and not installed"
    );
    found
}

/// The page's content after its scripts have run.
fn rendered(browser: &str, url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--virtual-time-budget=10000", "--dump-dom", url])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_page_shows_groups_and_looks_a_user_up() {
    let Some(browser) = chromium() else {
        println!("not run: there is no chromium");
        return;
    };
    let home = Home::with_demo(80, 31);
    let server = home.serve();
    let page = rendered(browser, &format!("http://{}/", server.http));
    for shown in [
        "user_profile_features",
        "user_activity_features",
        "user_review_features",
        "churn",
    ] {
        assert!(
            page.contains(shown),
            "`{shown}` is not on the page:\n{page}"
        );
    }
    let user = server.get("/status").1["example"]
        .as_str()
        .unwrap()
        .to_owned();
    let page = rendered(browser, &format!("http://{}/?user={user}", server.http));
    assert!(
        page.contains("total_events") && page.contains(&user),
        "{page}"
    );
    let probability = server
        .post("/predict", &format!(r#"{{"user_id":"{user}"}}"#))
        .1;
    let percent = format!(
        "{:.1}",
        probability["probability"].as_f64().unwrap() * 100.0
    );
    assert!(
        page.contains(&percent),
        "{percent} % is not on the page:\n{page}"
    );
    let page = rendered(browser, &format!("http://{}/?user=nobody", server.http));
    assert!(page.contains("nobody"), "{page}");
}
