// The applications' lists on Node 24: what starts the program.
import { runApplications } from './applications.ts';

runApplications('node24', 'outside');
