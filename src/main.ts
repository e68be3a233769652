/** inkmesh: reads the arguments and runs one command. */
import { runCommandLine } from './cli/run.ts';

// libp2p leaves a handle behind when it has stopped: everything is closed in order, then the process ends
// no `await` here: a module with one cannot be bundled as CommonJS, the one form that Node's code cache takes
runCommandLine(process.argv.slice(2)).then((code) => process.exit(code));
