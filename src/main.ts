/** inkmesh: reads the arguments and runs one command. */
import { runCommandLine } from './cli/run.ts';

// libp2p leaves a handle behind when it has stopped: everything is closed in order, then the process ends
process.exit(await runCommandLine(process.argv.slice(2)));
