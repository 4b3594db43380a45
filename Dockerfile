# The switchboard in a container: docker build -t cordboard . && docker run -d -p 2222:2222 -v cordboard:/data cordboard
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:24-slim
ENV NODE_ENV=production \
    CORDBOARD_HOST=0.0.0.0 \
    CORDBOARD_DATA=/data \
    CORDBOARD_ENROL=no \
    CORDBOARD_CONSOLE=127.0.0.1:2223 \
    CORDBOARD_CONSOLE_TOKEN_FILE=/data/console-token
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/package.json ./
RUN mkdir /data && chown node:node /data && chmod 700 /data
USER node
VOLUME /data
EXPOSE 2222
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["node", "-e", "fetch('http://127.0.0.1:2223/healthz').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/cli.js"]
CMD ["switchboard"]
