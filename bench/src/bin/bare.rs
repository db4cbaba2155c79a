//! The least that actix-web can do: a handler that returns a body made beforehand. What a real
//! handler reaches is told as a share of this.

use std::net::SocketAddr;

use actix_web::http::header::ContentType;
use actix_web::{App, HttpResponse, HttpServer, web};
use clap::Parser;

#[derive(Parser)]
#[command(about = "Answers everything with the same body")]
struct Args {
    #[arg(long)]
    http: SocketAddr,
    /// The body
    #[arg(long)]
    body: String,
}

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let body = web::Bytes::from(args.body);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    actix_web::rt::System::new().block_on(
        HttpServer::new(move || {
            let body = body.clone();
            // A body that nobody takes would end the connection.
            let answer = move |_: web::Bytes| {
                let body = body.clone();
                async move {
                    HttpResponse::Ok()
                        .content_type(ContentType::json())
                        .body(body)
                }
            };
            App::new().default_service(web::to(answer))
        })
        .workers(threads)
        .bind(args.http)?
        .run(),
    )
}
