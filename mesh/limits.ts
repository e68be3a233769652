/** Every cap and timeout of the mesh in one place. Units are the last word of a name; bytes are octets. */

const KiB = 1024;
const MiB = 1024 * KiB;
const second_ms = 1000;

/** one request or reply, and one frame of a byte stream */
export const maxMessageBytes = 64 * KiB;
export const maxBodyFrameBytes = 512 * KiB;
/** a message that carries Yjs updates */
export const maxUpdateBytes = 16 * MiB;
/** received but unread octets per stream, at which the sender is made to wait */
export const readHighWaterBytes = 1 * MiB;

/** streams that one connection may have open to one method at a time */
export const maxStreamsPerMethod = 64;
export const maxStreamsBeforeAdmission = 2;
/** the same for methods with large messages */
export const maxHeavyStreams = 4;
export const maxConnections = 128;
/** inbound TCP connections that have not finished the Noise handshake, and how long they may take */
export const maxPendingConnections = 256;
export const handshakeTimeout_ms = 3 * second_ms;
/** of these, connections of peers that have not said hello: beyond it the oldest is closed */
export const maxStrangers = 32;

export const dialTimeout_ms = 5 * second_ms;
export const callTimeout_ms = 10 * second_ms;
export const helloTimeout_ms = 5 * second_ms;
/** how long a method waits for the hello of a peer that has just connected */
export const admissionWait_ms = 2 * second_ms;
/** a connection whose opener has not passed the gate by then is ended; enrolment takes less */
export const strangerLife_ms = 30 * second_ms;
/**
 * A byte stream that moves nothing for this long is given up. Longer than clients may pause in a document, and than
 * printers may; a peer that has died is noticed by libp2p's heartbeat long before.
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
export const mdnsInterval_ms = 5 * second_ms;

export const maxFactBytes = 4 * KiB;
export const maxFactBodyBytes = 3 * KiB;
/** names in one message; documents are bounded by the sites there are, and the days that they are kept */
export const maxDocs = 4096;
/** the longest retention, and a day for clocks and time zones */
export const maxJobsDocAge_ms = 9 * 24 * 3600 * second_ms;
/** how often one key of a document is put back at most, and how many keys are remembered for that */
export const putBackInterval_ms = 10 * second_ms;
export const maxPutBacks = 10_000;
/** how soon, and how often at most, documents are read again for facts that could not be judged before */
export const rereadDelay_ms = 100;
export const rereadInterval_ms = 1 * second_ms;
/** how far ahead of this node's clock a fact may be dated */
export const maxFactLead_ms = 24 * 3600 * second_ms;
export const updateBatch_ms = 15;
export const snapshotDelay_ms = 1 * second_ms;
/** a holder looks this often whether the author of a job fact is gone, and publishes it in its stead */
export const republishLook_ms = 500;
/** by then an author that is there has published a job fact, or withdrawn it: longer than sealing can take */
export const republishLatest_ms = 30 * second_ms;
export const antiEntropy_ms = 30 * second_ms;

export const holdersPerJob = 3;
export const quorum = 2;
export const maxTicketBytes = 4 * KiB;
export const maxDocumentBytes = 4 * 1024 * MiB;
/** the largest document's, with its headers and tags */
export const maxEnvelopeBytes = maxDocumentBytes + 8 * MiB;
/** stored and not sealed for this long: the accepting node is gone, the piece is swept */
export const unsealedAge_ms = 60 * 60 * second_ms;
/** seal is repeated for this long before the submission is given up */
export const sealPatience_ms = 5 * second_ms;
export const sealRetry_ms = 100;
/** from the last octet of an envelope to a holder's answer that it is durable: slow disks take their time */
export const storeAnswer_ms = 60 * second_ms;

/** a vote without begin may go to another claim after this */
export const voteLease_ms = 10 * second_ms;
/** how long the third vote is waited for once there is a quorum */
export const thirdVoteGrace_ms = 150;
export const claimAttempts = 4;
export const claimRetryMin_ms = 50;
export const claimRetryMax_ms = 300;
/** how long `settle` waits for the holders before it goes on in the background */
export const settlePatience_ms = 3 * second_ms;
export const resendMin_ms = 200;
export const resendMax_ms = 30 * second_ms;
export const maxPiecesPerView = 256;
export const maxReasonChars = 200;

export const maxInviteUses = 1000;
export const maxInviteLife_ms = 30 * 24 * 3600 * second_ms;

/** how long a site may have its jobs held: 30 minutes to 7 days */
export const minRetention_ms = 30 * 60 * second_ms;
export const maxRetention_ms = 7 * 24 * 3600 * second_ms;
