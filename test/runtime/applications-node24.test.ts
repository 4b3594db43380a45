// The applications' lists on Node 24.
import { runApplications } from './applications.ts';

runApplications('node24');
