/** Every cap and timeout of the mesh in one place. Units are the last word of a name; bytes are octets. */

const KiB = 1024;
const MiB = 1024 * KiB;
const second_ms = 1000;

/** one request or reply, and one frame of a byte stream */
export const maxMessageBytes = 64 * KiB;
export const maxBodyFrameBytes = 512 * KiB;
/** a message that carries Yjs updates */
export const maxUpdateBytes = 16 * MiB;
/** received octets of a stream that nobody reads yet, as before admission, at which the sender is made to wait */
export const unreadHighWaterBytes = 64 * KiB;
/** the same once it is read */
export const readHighWaterBytes = 1 * MiB;

/** streams that one connection may have open to one method at a time */
export const maxStreamsPerMethod = 64;
export const maxStreamsBeforeAdmission = 2;
/** the same for methods with large messages */
export const maxHeavyStreams = 4;
export const maxConnections = 128;
export const dialTimeout_ms = 5 * second_ms;
/** inbound TCP connections that have not finished the Noise handshake, and how long they may take: as long as dialling */
export const maxPendingConnections = 256;
export const handshakeTimeout_ms = dialTimeout_ms;
/** connections of peers that have not said hello: beyond it the oldest of the address with most of them is closed */
export const maxStrangers = 32;
/** the same of a relay, to which all sites come back at once when it has been away */
export const maxConnectionsOfRelay = 4096;
export const maxPendingOfRelay = 1024;
export const maxStrangersOfRelay = 512;
/** connections that one peer may have opened: beyond it its oldest is closed */
export const maxLinksPerPeer = 4;

export const callTimeout_ms = 10 * second_ms;
/** for one message to arrive whole, however it trickles in; longer where an answer may take longer */
export const messageTime_ms = 30 * second_ms;
export const helloTimeout_ms = 5 * second_ms;
/** how long a method waits for the hello of a peer that has just connected */
export const admissionWait_ms = 2 * second_ms;
/** a connection whose opener has not passed the gate by then is ended; enrolment takes less */
export const strangerLife_ms = 30 * second_ms;
/**
 * A byte stream that moves nothing for this long is given up. Longer than clients may pause in a document, and than
 * printers may; a peer that has died is noticed by its heartbeat (beat.ts) long before.
 */
export const stallTimeout_ms = 240 * second_ms;

/** how far two clocks may disagree before a hello is refused: certificates could not be judged */
export const maxClockSkew_ms = 12 * 3600 * second_ms;

export const maxKnownPeers = 1024;
/** peers known by hearsay only */
export const maxUnmetPeers = 128;
export const maxAddressesPerPeer = 8;
export const maxAddressChars = 256;
export const redialMin_ms = 250;
export const redialMax_ms = 30 * second_ms;
/** what a failed dial says of a peer is believed for so long */
export const freshFailure_ms = 60 * second_ms;
/** a link that ends sooner is no reason to dial at once again */
export const shortLink_ms = 10 * second_ms;
/** after a node has said that this one may not talk to it */
export const refusedAgain_ms = 10 * 60 * second_ms;
/** before a relay is asked again to have this node reached through it */
export const reserveAgain_ms = 30 * second_ms;
/** between questions by mDNS: at first, and when nothing changes */
export const mdnsInterval_ms = 1 * second_ms;
export const mdnsIntervalMax_ms = 3600 * second_ms;
/** a question is answered within this time, by as many nodes at most as it takes to become one of them */
export const mdnsAnswerDelay_ms = 500;
export const mdnsAnswers = 8;
/** on which mDNS is sent */
export const maxInterfaces = 16;
/** on a relay: nodes that are reached through it, and those of one address, behind which there may be a whole office */
export const maxReservations = 4096;
export const maxReservationsPerAddress = 1024;
export const reservation_ms = 2 * 3600 * second_ms;
/** circuits that pass through it: in all, and from or to one node */
export const maxCircuits = 512;
export const maxCircuitsPerPeer = 64;
/** what nodes and relays say to each other to make one, and how long that may take */
export const maxHopMessageBytes = 4 * KiB;
export const hopTime_ms = 10 * second_ms;
/** between a decision about a site's relay and the end of its circuits: time to be told why */
export const circuitGrace_ms = 300;
/**
 * how long is waited for a node that relays would lead to, were they on, and that did not answer directly before: the
 * dial itself goes on
 */
export const offDial_ms = 1 * second_ms;

export const maxFactBytes = 4 * KiB;
export const maxFactBodyBytes = 3 * KiB;
/** names in one message; documents are bounded by the sites there are, and the days that they are kept */
export const maxDocs = 4096;
/** how far ahead of this node's clock a fact may be dated */
export const maxFactLead_ms = 24 * 3600 * second_ms;
/** after the last job of a day has expired, for clocks and time zones */
export const docGrace_ms = 24 * 3600 * second_ms;
/** how often documents are looked at that no job can be alive of */
export const docLook_ms = 5 * 60 * second_ms;
/** what one author may state in one document, and in how many arrays */
export const maxFactsPerAuthor = 40_000;
export const maxFactOctetsPerAuthor = 16 * MiB;
export const maxRunsPerAuthor = 64;
/** an author's arrays may hold twice the octets of its facts, as some are stated anew after a crash, and so much more */
export const carriedSlackBytes = 16 * KiB;
/** facts that wait for others, of all authors, of one, and of those whose certificate has not come */
export const maxWaitingFacts = 4096;
export const maxWaitingPerAuthor = 256;
export const maxWaitingOfStrangers = 256;
/** refused facts that are remembered, so that they are not asked for again */
export const maxRefusedFacts = 10_000;
export const maxBarredClients = 1024;
export const maxSuspects = 64;
/** news are gathered for this long before they are announced */
export const announceBatch_ms = 15;
/** and those of others for so much longer at most, where this node has given much more of them than it got */
export const announceLater_ms = 150;
export const maxLentBytes = 16 * 1024;
export const maxAnnouncedClients = 1024;
export const maxAnnouncedFacts = 1024;
/** how many announcers of one piece of news are remembered, to be asked in turn */
export const maxSources = 4;
/** octets of state vectors, and of the records in one reply to \`pull\` and \`records\` */
export const maxVectorBytes = 256 * KiB;
export const maxPulledBytes = 4 * MiB;
export const maxRecordsPerCall = 512;
/** rounds of one reconciliation: a document is pulled in pieces */
export const maxPullRounds = 64;
/** how soon after activity a node compares with one neighbour */
export const quickCheck_ms = 2 * second_ms;
/** between telling a peer what it lacks and comparing again */
export const settleDelay_ms = 500;
export const antiEntropy_ms = 30 * second_ms;
export const snapshotDelay_ms = 60 * second_ms;
/** a document that nothing happens to for this long is not kept in memory */
export const carrierIdle_ms = 60 * second_ms;
/** an inflated snapshot */
export const maxSnapshotBytes = 512 * MiB;
/** a holder looks this often whether the author of a job fact is gone, and publishes it in its stead */
export const republishLook_ms = 500;
/** by then an author that is there has published a job fact, or withdrawn it: longer than sealing can take */
export const republishLatest_ms = 30 * second_ms;

export const holdersPerJob = 3;
export const maxTicketBytes = 4 * KiB;
export const maxDocumentBytes = 4 * 1024 * MiB;
/** the largest document's, with its headers and tags */
export const maxEnvelopeBytes = maxDocumentBytes + 8 * MiB;
/** stored and not sealed for this long: the accepting node is gone, the piece is swept */
export const unsealedAge_ms = 60 * 60 * second_ms;
/** seal is repeated for this long before the submission is given up */
export const sealPatience_ms = 5 * second_ms;
export const sealRetry_ms = 100;
/** between attempts to take back a job, or to seal it here, while the disk has no room for the record of it */
export const withdrawRetry_ms = 5 * second_ms;
/** from the last octet of an envelope to a holder's answer that it is durable: slow disks take their time */
export const storeAnswer_ms = 60 * second_ms;

/** a vote without begin may go to another claim after this */
export const voteLease_ms = 10 * second_ms;
/** how long the third vote is waited for once there is a quorum */
export const thirdVoteGrace_ms = 150;
export const claimAttempts = 4;
/** claims of one job whose ending a holder that is away has not been told */
export const maxUntoldClaims = 64;
/** receipts that are remembered to hold: those of the claims that are under way */
export const maxKnownReceipts = 512;
export const claimRetryMin_ms = 50;
export const claimRetryMax_ms = 300;
/** how long `settle` waits for the holders before it goes on in the background */
export const settlePatience_ms = 3 * second_ms;
export const resendMin_ms = 200;
export const resendMax_ms = 30 * second_ms;
export const maxPiecesPerView = 256;
/** pieces that one holder keeps of jobs that one node has accepted */
export const maxPiecesPerAuthor = 10_000;
export const maxReasonChars = 200;

export const maxInviteUses = 1000;
export const maxInviteLife_ms = 30 * 24 * 3600 * second_ms;

/** how long a site may have its jobs held: 30 minutes to 7 days */
export const minRetention_ms = 30 * 60 * second_ms;
export const maxRetention_ms = 7 * 24 * 3600 * second_ms;

/** a share that is sealed for one node */
export const maxSealedBytes = 512;
/** how often a holder looks for shares that a machine can be given that has woken up */
export const handoffLook_ms = 2 * second_ms;
export const handoffRetryMin_ms = 1 * second_ms;
export const handoffRetryMax_ms = 300 * second_ms;

/** up to so many other nodes are all connected to */
export const maxFullMesh = 8;
/** of more, each keeps connections to so many of its site and of other sites; as many again choose it */
export const neighboursOfSite = 4;
export const neighboursElsewhere = 1;
/** a connection that nobody chose is ended by its opener when it has carried nothing for this long */
export const idleLink_ms = 60 * second_ms;
export const beatInterval_ms = 15 * second_ms;
export const beatTimeout_ms = 5 * second_ms;
/** how long a direct connection is tried before relays are, and how long it is not tried again then: ever longer */
export const directDial_ms = 2 * second_ms;
export const directAgainMin_ms = 5 * second_ms;
export const directAgain_ms = 5 * 60 * second_ms;
/** peers of whom nothing but an address is known are dialled up to so many connections: somebody must be the first */
export const firstLinks = 3;
/** between a fact that closes a site and the end of links: time for the fact to pass over them */
export const scopeGrace_ms = 2 * second_ms;
/** days that a node's presence tells of */
export const presenceDays = 7;
export const presenceInterval_ms = 6 * 3600 * second_ms;

/** how often a node looks whether its certificate is due, and how soon after it has started */
export const renewLook_ms = 3600 * second_ms;
export const renewFirstLook_ms = 2 * second_ms;
/** between attempts while no registrar renews it */
export const renewRetryMin_ms = 10 * second_ms;
export const renewRetryMax_ms = 3600 * second_ms;
/** a certificate that lapsed no longer ago is still renewed */
export const renewGrace_ms = 30 * 24 * 3600 * second_ms;
/** before the end of the organisation's issuers, from when on `status` warns of it */
export const issuerWarning_ms = 365 * 24 * 3600 * second_ms;

/** how often a holder looks for what is past its retention */
export const expiryLook_ms = 60 * second_ms;
/** how often the age of a node is written down while it grows */
export const ageNote_ms = 60 * second_ms;
/** the issuers of an organisation, sealed for one node */
export const maxSealedAuthorityBytes = 32 * KiB;
/** how long the choice of neighbours holds, and how often unused connections are looked at */
export const wantedLife_ms = 2 * second_ms;
export const pruneInterval_ms = 5 * second_ms;
/** how often a node looks whether it can be dialled elsewhere than it has stated */
export const presenceLook_ms = second_ms;
/** a registrar tries to reach the node that enrols before it answers */
export const enrolAnswer_ms = 20 * second_ms;
/** a file that `org export` has made */
export const maxBackupBytes = 256 * MiB;

/** `node` facts with one certificate: a node that has lost its sealing key states it again */
export const maxFactsPerCertificate = 4;
/** documents that one comparison names; of more, all are compared */
export const maxNamedDocs = 512;
/** questions for facts to one peer at a time: fewer than the streams that it takes */
export const questionsAtOnce = maxHeavyStreams - 1;
/** ids of which one comparison looks whether they are known here */
export const maxIdsPerExchange = 8192;
/** what a peer has told of, and has not been got: at most so much of each teller */
export const maxWantedPerTeller = 1024;
/** when a peer has not answered by then, the next that has the same is asked */
export const nextSource_ms = 1.5 * second_ms;
/** of an author's arrays in a document that is read again: others are of runs long past */
export const keptRunsPerAuthor = 8;

/** how long a submit token holds, unless its invitation says otherwise, and the longest that one may say */
export const tokenLife_ms = 365 * 24 * 3600 * second_ms;
export const maxTokenLife_ms = 5 * tokenLife_ms;
/** a registrar that is asked about a source has so long, from the dialling to its answer */
export const sourceAnswer_ms = 300;
export const maxRegistrarsAsked = 3;
/** of one registrar at a time: fewer than the streams that it takes */
export const maxSourcesAsked = maxStreamsPerMethod / 2;

/**
 * Documents that one node takes in at once: each is a stream to either holder. Others wait, their clients held back.
 */
/** a document of which less than this comes between two looks loses its place when others wait: 1 KiB/s */
export const slowLook_ms = 60 * second_ms;
export const slowBytes = 60 * 1024;
export const acceptLimits = {
  slots: maxStreamsPerMethod - 4,
  line: 1024,
  patience_ms: 20 * second_ms,
} as const;

/** nodes that a key of a site's is sealed for: those of the site that need it, and registrars */
export const maxSealedNodes = 8;
export const maxKeyRegistrars = 3;
/** one fact has room for these, whatever the organisation is called */
export const maxSealedSiteKeyBytes = 1536;
export const maxSiteCertificateBytes = 1280;
/** from what concerns the key of a site's name to the look of the first registrar; each next one comes so much later */
export const siteKeyDelay_ms = 1 * second_ms;
/** a registrar that cannot open the key leaves it to those that can, until its certificate lapses in less */
export const siteKeyWaitMax_ms = 15 * 24 * 3600 * second_ms;

/** how long a node has to answer whether a job has come of a submission that broke off */
export const findAnswer_ms = 3 * second_ms;
/** nodes that are asked for a job whose accepting node does not answer */
export const maxFindersAsked = 24;
/** a job that is being sealed is asked for again, for somewhat longer than sealing takes */
export const findAgain_ms = 500;
export const findPatience_ms = 20 * second_ms;
/** submissions of one user that one node asks for at a time */
export const maxResumedPerOwner = 8;
/** jobs that a node remembers not to be sealed any more */
export const maxFenced = 1024;
/** a job that was begun to be sealed longer ago is not taken back any more: soon holders publish it */
export const withdrawLatest_ms = republishLatest_ms - 5 * second_ms;
/** what one turn of the event loop sends over a connection is gathered, up to this */
export const gatheredBytes = 64 * KiB;
/** of a connection whose peer does not read */
export const maxUnsentBytes = 8 * 1024 * 1024;

/** keys that badges and PINs are kept under: of more the oldest are not known any more; and all of them, sealed */
export const maxPanelKeys = 8;
export const maxSealedPanelKeyBytes = 2048;

/** users that a holder heeds one panel node for, and what it does for them, within this time */
export const maxVouchedUsers = 60;
export const maxVouchers = 600;
export const vouchers_ms = 60 * second_ms;

/** Requests of users that are passed on: octets of one with its signature, and how long its answer may take to begin. */
export const maxPassedBytes = 128 * KiB;
export const passedAnswer_ms = 30 * second_ms;

/** one WebSocket message; more goes in several */
export const maxSocketMessageBytes = 4 * gatheredBytes;
/** octets that wait in a WebSocket for its peer at which its sender is made to wait */
export const socketHighWaterBytes = 1 * MiB;
/** on the cloud: WebSockets, and those of one address, behind which there may be a whole office */
export const maxSockets = 4096;
export const maxSocketsPerAddress = 1024;
/** how long a socket that is refused is kept for its answer to be taken */
export const refusal_ms = 5 * second_ms;
/** the answer of an HTTP proxy, whose text nobody reads */
export const maxProxyAnswerBytes = 16 * KiB;

/** Members that are asked whether they reach this node; a dial that no answer comes to takes 10 s. */
export const maxProbers = 3;
export const maxProbeStreams = 1;
export const probeTimeout_ms = 15 * second_ms;

/** Circuits at a cloud node by which who is no member reaches a registrar, to join: at a time, and within a time. */
export const maxJoiners = 32;
export const maxJoinersPerAddress = 8;
export const maxJoinersInTime = 600;
export const maxJoinersOfAddressInTime = 120;
export const joinersInTime_ms = 60 * second_ms;
/** both ways together; joining takes about 16 KiB */
export const maxJoinerBytes = 256 * KiB;
export const joinerLife_ms = strangerLife_ms;
/** registrars that a cloud node tells of */
export const maxRegistrarsTold = 8;
