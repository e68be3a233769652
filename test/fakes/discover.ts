/** `discover.ts COMMUNITY [SUBNET...]`: looks for printers on the machine that it runs on, and prints them as JSON. */
import process from 'node:process';
import { check } from '../../mesh/codec.ts';
import { inquire } from '../../src/deliver/inquiry.ts';
import { discover } from '../../src/printers/discover.ts';
import { snmpSettings } from '../../src/printers/snmp-settings.ts';

const [community = '', ...subnets] = process.argv.slice(2);
const snmp = check(snmpSettings, { community });
console.log(JSON.stringify(await discover(subnets, [], { snmp, askIpp: inquire })));
