/**
 * Every cap of the print system (the mesh has its own file). Octets unless the name says otherwise; `_ms` are
 * milliseconds.
 */

/** What one IPP message may cost before anything looks at it (RFC 8010). */
export const ippLimits = {
  /** header and attributes, without the document */
  maxHeaderBytes: 256 * 1024,
  maxGroups: 1024,
  /** in all groups and collections together */
  maxAttributes: 4096,
  maxValues: 16384,
  /** collections within collections */
  maxDepth: 8,
  maxNameBytes: 255,
  /** lengths are signed 16-bit numbers (RFC 8010 section 3.1.4) */
  maxValueBytes: 0x7fff,
} as const;

/** What clients may cost an HTTP or HTTPS server. */
export interface ListenLimits {
  readonly maxConnections: number;
  /** from the connection, or from the last answer on it, to the end of a request's headers */
  readonly headers_ms: number;
  /** a client that is to send, or to take, and does neither */
  readonly idle_ms: number;
  /** of one connection, sent before the answer to the first has gone out (RFC 9112 section 9.3.2) */
  readonly maxOpenRequests: number;
}

export const listenLimits: ListenLimits = {
  maxConnections: 1024,
  headers_ms: 20_000,
  idle_ms: 120_000,
  maxOpenRequests: 8,
};

/** The IPP front. */
export const submitLimits = {
  /** from the request to the end of its attributes */
  readHeader_ms: 15_000,
  maxTokenLength: 256,
  /** jobs that were created and whose document is not stored yet */
  maxOpenJobs: 1024,
  maxOpenJobsPerToken: 16,
  /** what a request may be longer than its document */
  maxRequestBytes: ippLimits.maxHeaderBytes,
  maxDocumentsPerJob: 100,
  /** jobs whose documents are shown as one, and jobs whose user's own name is known */
  maxKnownJobs: 1000,
  /** requesting-user-name, UTF-16 units */
  maxUserName: 255,
  /** of Identify-Printer, as the log keeps it */
  maxMessageBytes: 127,
  /** between Create-Job and Send-Document, told as multiple-operation-time-out */
  openJob_ms: 120_000,
  maxJobsListed: 500,
  /** different names in requested-attributes: more than are registered */
  maxRequested: 1024,
  /** documents that come in at once from one device or token */
  maxAtOnce: 16,
  /** compressed octets that are inflated at a time, so that what they expand to (1032 times at most) stays small */
  inflateStepBytes: 4096,
} as const;

/** A submission that goes on at another node, which asks what became of it where it was before. */
export const resumeLimits = {
  /** nodes that were sent the document and have not answered */
  maxTried: 16,
  /** of these, asked for at once */
  atOnce: 4,
  /** how long that takes at most (mesh/resume.ts) */
  each_ms: 30_000,
} as const;

/** Tokens and passwords that are not valid. */
export const refusalLimits = {
  /** from one address, until more of them are not looked into; those that are valid always are */
  maxFailures: 10,
  failures_ms: 60_000,
  maxAddresses: 10_000,
  /** what a registrar has said of a source is not asked again for so long, and one that is silent not either */
  answerLife_ms: 5_000,
  maxAnswers: 1024,
} as const;

/** What was accepted without a registrar's word on its source. */
export const unconfirmedLimits = { look_ms: 5_000, maxRows: 10_000 } as const;

export const auditLimits = {
  /** of refusals, and of all else */
  maxRowsOfEach: 50_000,
  cutAfterRows: 1000,
  maxPending: 10_000,
  write_ms: 1000,
  maxDetailChars: 200,
  maxListed: 10_000,
} as const;

/** Submission by HTTP. */
export const httpLimits = {
  /** of a multipart body: besides the one file */
  maxFields: 16,
  maxFieldBytes: 1024,
  maxPartHeaders: 16,
} as const;

/** Event subscriptions of IPP clients (RFC 3995, RFC 3996). */
export const subscriptionLimits = {
  max: 256,
  maxPerToken: 16,
  maxUserDataBytes: 63,
  leaseDefault_s: 3600,
  leaseMax_s: 86_400,
  /** how long an event can be asked for, told as ippget-event-life */
  eventLife_s: 300,
  /** how often clients are told to ask, as notify-get-interval */
  interval_s: 30,
  /** of one subscription: the oldest go first */
  maxEvents: 200,
} as const;

/** Printers, when a job is delivered to them. */
export const deliverLimits = {
  connect_ms: 5_000,
  /** one IPP request without a document, from its first octet to the end of the answer */
  request_ms: 10_000,
  maxResponseBytes: 256 * 1024,
  /** a printer that takes no octet of the document, or does not answer when it has them all */
  stall_ms: 180_000,
  /** a printer that has stopped or is busy is waited for so long, unless the configuration says otherwise */
  wait_ms: 10 * 60_000,
  /** how often one is asked why nothing moves */
  look_ms: 1_000,
  /** RAW: what it may take before the first octet to say how it is, and where it has said so before */
  ask_ms: 300,
  askHeard_ms: 2_500,
  /** of what a printer says, as it is shown to people */
  maxReasonChars: 500,
  /** how soon a printer that says it is busy is asked again: so soon at first, then every `look_ms` */
  busyRetry_ms: 100,
  busyEager_ms: 30_000,
  /** how often a printer is asked what its job does */
  followFirst_ms: 50,
  followMost_ms: 1_000,
  /** from the last octet to the end of the printer's job */
  follow_ms: 30 * 60_000,
  /** a printer that cannot be reached while it prints */
  lost_ms: 60_000,
  /** from Cancel-Job to the end of the printer's job */
  cancel_ms: 10_000,
  /** RAW: from our last octet to the printer's closing the connection */
  rawClose_ms: 10_000,
  /** deliveries of one node at a time, at one address of a printer: RAW printers take one connection */
  abreastRaw: 1,
  abreast: 8,
  /** and those that wait for their turn there, and how long: each of those before may have a long document */
  maxLine: 1024,
  line_ms: 60 * 60_000,
  /** IPP: what a printer can do, and connections that are idle, are good for so long */
  capabilitiesLife_ms: 5_000,
  idle_ms: 5_000,
  maxIdlePerPrinter: 8,
  maxPrinters: 256,
  /** system queues of Windows: what the program that writes to the spooler may say */
  maxSpoolerChars: 4096,
  start_ms: 20_000,
} as const;
export type DeliverLimits = { readonly [name in keyof typeof deliverLimits]: number };

export const printerLimits = {
  /** addresses of one printer besides its first */
  maxMore: 3,
  maxFormats: 32,
  /** printers whose certificate has changed, as warnings remember them */
  maxChanged: 256,
} as const;

/** What envelopes may take of a disk, unless the configuration says otherwise. */
export const storageLimits = {
  /** 10 GiB */
  quota_bytes: 10 * 1024 ** 3,
  /** stays free on the volume: 1 GiB */
  reserve_bytes: 1024 ** 3,
  /** how long shares that were removed may stay in the database's log: a removal for each would hold all else up */
  scrub_ms: 200,
} as const;
/** the volume is looked at after so many octets: others fill it too */
export const freeLookBytes = 16 * 1024 ** 2;
/** and after so long, when a document comes in */
export const freeLook_ms = 1000;

/** What a site's queue is advertised with by mDNS (RFC 6762). */
export const mdnsLimits = {
  /** interfaces come and go */
  interfaceLook_ms: 5_000,
  /** a question for shared records is answered after a random time (section 6) */
  delayMin_ms: 20,
  delayMax_ms: 120,
  /** nothing is said to everybody again sooner (section 6) */
  answerAgain_ms: 1_000,
  /** between the two announcements of a start (section 8.3) */
  announceAgain_ms: 1_000,
  /** how long a stopping node waits for its goodbye to be sent */
  goodbye_ms: 200,
  /** questions of one packet that are looked at */
  maxQuestions: 32,
  /** so few that no packet is cut into pieces: TXT records have some 600 octets, and every sixth is one */
  recordsPerPacket: 4,
  /** addresses that other nodes give for the same host */
  maxOthers: 8,
  /** how often a node looks whether it is one of its site's super nodes, and who the other one is */
  supersLook_ms: 500,
} as const;

/** Badges and PINs, and who has shown one at a panel. */
export const panelLimits = {
  /** of a PIN that is chosen, or of a badge's number */
  minPinChars: 6,
  maxPinChars: 64,
  /** of a badge, unless whoever gives it says that it is short */
  minBadgeChars: 8,
  /** of one that is generated */
  pinChars: 6,
  /** scrypt (RFC 7914): 32 MiB and about 0.15 s each */
  scrypt: { N: 2 ** 15, r: 8, p: 1 },
  /** looked at at the same time, and in line for that */
  atOnce: 2,
  maxWaiting: 32,
  /** wrong PINs until a user is locked */
  maxFailures: 10,
  /** wrong ones of one user, or at one panel, in a minute: then further ones are not looked at */
  failuresPerMinute: 5,
  panelFailuresPerMinute: 10,
  /** at all panels of a node */
  unknownBadgesPerMinute: 30,
  /** a refusal comes after so long, whatever the reason */
  refusal_ms: 400,
  /** names whose wrong PINs are counted: users' and others */
  maxCounted: 10_000,
  maxSessions: 1024,
  maxSessionsPerUser: 8,
  /** of somebody who does nothing, and in any case */
  idle_ms: 60_000,
  session_ms: 10 * 60_000,
} as const;

/** A browser that enrols: its invitation, and its certification request. */
export const enrolLimits = {
  maxBodyBytes: 16 * 1024,
  maxInviteChars: 4096,
  maxRequestBytes: 2048,
  /** that registrars are asked about at a time, and of these one of each address */
  maxUnderWay: 8,
} as const;

/** SNMP agents (RFC 3411): printers, and whatever answers in their place. */
export const snmpLimits = {
  /** one question, which is repeated once */
  timeout_ms: 1_000,
  retries: 1,
  /** all questions of one session together */
  session_ms: 2_500,
  /** SNMPv1 takes one for each object */
  maxDatagrams: 512,
  maxDatagramBytes: 16 * 1024,
  maxBytes: 128 * 1024,
  /** rows that are asked for at a time (RFC 3416 section 4.2.3) */
  repetitions: 8,
  maxAlerts: 32,
  maxSupplies: 32,
  maxOidChars: 512,
  maxTextBytes: 255,
  /** engines whose localized keys are kept */
  maxEngines: 1024,
} as const;

/** How printers are. */
export const conditionLimits = {
  /** an answer holds for so long; with `ask_ms` at most 3 s, in which each state is to be seen */
  cache_ms: 500,
  ask_ms: 2_500,
  /** for the other protocol, when one has answered */
  grace_ms: 500,
  /** a printer that has never answered SNMP is not asked by it again for so long */
  deaf_ms: 15_000,
  maxKnown: 1024,
  /** printers asked at a time, for a list */
  atOnce: 16,
  maxReasons: 32,
} as const;

/** SNMP traps that are heeded: so many in a window. */
export const trapLimits = { window_ms: 1_000, perWindow: 50 } as const;

/** Looking for printers. */
export const discoverLimits = {
  /** mDNS: from the first question to the last answer, and between questions */
  browse_ms: 2_500,
  browseAgain_ms: 800,
  maxInstances: 512,
  maxRecordsPerPacket: 256,
  maxAddresses: 8,
  /** /22 */
  smallestPrefix: 22,
  maxSubnets: 4,
  /** hosts of subnets that are asked at a time: 160 in a second where nobody answers */
  hostsAtOnce: 64,
  askSnmp_ms: 400,
  /** one question by IPP, and one connection */
  ask_ms: 3_000,
  connect_ms: 1_000,
  maxFound: 1024,
  maxFormats: 32,
  maxTextChars: 255,
  /** of the program that lists the system's own queues */
  system_ms: 10_000,
  maxSystemChars: 256 * 1024,
} as const;

/** Which printers a node can connect to. */
export const reachLimits = {
  look_ms: 2_000,
  /** a printer is connected to again after so long, and after up to as much more */
  again_ms: 30 * 60_000,
  /** the nodes of a site try a new printer one after the other */
  spread_ms: 10_000,
  atOnce: 4,
  /** of those that a node reaches, and of those that it does not */
  maxTold: 20,
  /** nodes that are named for one printer */
  maxNodes: 16,
} as const;

/** Signed requests. */
export const apiLimits = {
  /** that are remembered, of all devices and of one */
  maxNonces: 100_000,
  maxNoncesPerDevice: 25_000,
  /** longer than a signed request is valid */
  nonceLife_ms: 5 * 60_000,
} as const;
export type ApiLimits = { readonly [name in keyof typeof apiLimits]: number };

/** Pages that show lists of jobs as they change. */
export const liveLimits = {
  maxWatchers: 512,
  maxWatchersPerUser: 8,
  /** how often a node looks which others are awake, while somebody watches */
  membersLook_ms: 2_000,
  /** and how the printer is that somebody has chosen: with `conditionLimits.ask_ms` about 3 s */
  printerLook_ms: 700,
  /** a page is told of changes no more often; of what concerns all of them, each at a time of its own */
  pace_ms: 1_000,
  spread_ms: 2_000,
  /** a connection on which nothing is said would be ended on the way */
  heartbeat_ms: 15_000,
  /** then the page asks again, signed anew */
  watch_ms: 10 * 60_000,
} as const;

/** What the cloud's directory lists. */
export const directoryLimits = { maxNodes: 16, maxPrinters: 1024, maxAddresses: 8 } as const;

/** Requests that are passed on to the node that they are signed for. */
export const forwardLimits = { maxBodyBytes: 64 * 1024, maxPerUser: 4 } as const;

/** The release pages. */
export const pageLimits = {
  /** of a form */
  maxFormBytes: 64 * 1024,
  /** jobs that one form prints */
  maxJobsPerForm: 200,
  /** releases at panels whose progress or outcome is remembered */
  maxRuns: 1000,
  /** how long a list waits for what a printer says of itself */
  printerPatience_ms: 500,
  /** on a panel's page that nobody touches it is asked whether somebody is there, and then so long waited for an answer */
  panelIdle_s: 35,
  panelAsk_s: 20,
  /** while something is printed, a panel's page is loaded again so often */
  panelLook_s: 2,
  /** how a release at a panel has ended is said for so long */
  outcomeShown_ms: 60_000,
} as const;

/** A node's configuration file. */
export const configLimits = { maxChars: 256 * 1024 } as const;

/** What a node tells the doctor of its printers. */
export const healthLimits = { maxPrinters: 64, atOnce: 16 } as const;
