// The applications' lists on Bun: what starts the program.
import { runApplications } from './applications.ts';

runApplications('bun', 'outside');
