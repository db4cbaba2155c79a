//! The page at `/`: what is loaded, and a box to look up a user. Its files are in the binary;
//! nothing is fetched from elsewhere. Called by `http::routes`.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};

/// Name, content type and text of each file.
const FILES: [(&str, &str, &str); 7] = [
    ("style.css", CSS, include_str!("assets/style.css")),
    ("app.js", SCRIPT, include_str!("assets/app.js")),
    ("dom.js", SCRIPT, include_str!("assets/dom.js")),
    ("format.js", SCRIPT, include_str!("assets/format.js")),
    ("lookup.js", SCRIPT, include_str!("assets/lookup.js")),
    ("overview.js", SCRIPT, include_str!("assets/overview.js")),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// The page.
pub(crate) async fn page() -> HttpResponse {
    answer(
        "text/html; charset=utf-8",
        include_str!("assets/index.html"),
    )
}

/// One of its files, if it has one of that name.
pub(crate) fn asset(name: &str) -> Option<HttpResponse> {
    let (_, kind, text) = FILES.iter().find(|(known, _, _)| *known == name)?;
    Some(answer(kind, text))
}

fn answer(kind: &str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((
            CONTENT_SECURITY_POLICY,
            "default-src 'self'; frame-ancestors 'none'",
        ))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // The files change with the binary, and a request for them costs nothing here.
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_is_named_is_there() {
        let page = include_str!("assets/index.html");
        let texts = FILES.iter().map(|(_, _, text)| *text).chain([page]);
        for text in texts {
            for (before, _) in text
                .match_indices(".js\"")
                .chain(text.match_indices(".css\""))
            {
                let start = text[..before].rfind('"').unwrap() + 1;
                let end = before + text[before..].find('"').unwrap();
                let name = text[start..end]
                    .trim_start_matches("./")
                    .trim_start_matches("/assets/");
                assert!(FILES.iter().any(|(known, _, _)| *known == name), "{name}");
            }
            assert!(!text.contains("https://"), "nothing comes from elsewhere");
        }
    }

    #[test]
    fn a_browser_test_finds_its_places() {
        let page = include_str!("assets/index.html");
        let lookup = include_str!("assets/lookup.js");
        for id in ["lookup", "user", "result", "groups"] {
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
        assert!(lookup.contains("\"probability\""));
    }
}
