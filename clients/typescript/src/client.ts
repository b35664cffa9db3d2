import { LibraryCalls } from "./library.js";

/** Talks to one server. */
export class Client extends LibraryCalls {}
