// The applications' lists on Node 24: what imports it.
import { runApplications } from './applications.ts';

runApplications('node24', 'inside');
